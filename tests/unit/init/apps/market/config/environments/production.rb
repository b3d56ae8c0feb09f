Rails.application.configure do
  config.cache_classes = true
  config.public_file_server.enabled = ENV["RAILS_SERVE_STATIC_FILES"].present?
  # config.force_ssl = true
  if ENV["RAILS_LOG_TO_STDOUT"].present?
    logger           = ActiveSupport::Logger.new(STDOUT)
    config.logger    = ActiveSupport::TaggedLogging.new(logger)
  end
end
