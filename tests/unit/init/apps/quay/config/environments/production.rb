Rails.application.configure do
  config.enable_reloading = false
  config.assume_ssl = true
  config.force_ssl = true
  config.logger = ActiveSupport::TaggedLogging.logger($stdout)
end
