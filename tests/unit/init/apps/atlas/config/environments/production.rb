Rails.application.configure do
  config.enable_reloading = false
  # config.public_file_server.enabled = false
  # config.assume_ssl = true
  config.force_ssl = true
  config.logger = ActiveSupport::Logger.new(STDOUT)
end
