Rails.application.configure do
  config.enable_reloading = false
  config.assume_ssl = true
  config.force_ssl = true
  config.asset_host = ENV["ASSET_HOST"].presence
  config.logger = ActiveSupport::TaggedLogging.logger($stdout)
end
