# Every deployed environment runs as `production`; what differs between them comes as environment variables.
Rails.application.configure do
  config.cache_classes = true
  config.eager_load = true
  config.consider_all_requests_local = false
  config.action_controller.perform_caching = true
  config.public_file_server.enabled = true
  config.public_file_server.headers = { "Cache-Control" => "public, max-age=31536000, immutable" }
  config.assets.compile = false
  config.asset_host = ENV["ASSET_HOST"].presence # kaiun sets it, here and while compiling, where S3 serves them
  config.assets.css_compressor = :sass
  config.assets.js_compressor = :terser
  config.force_ssl = ENV["FORCE_SSL"].present?
  config.ssl_options = { redirect: { exclude: ->(request) { request.path == "/up" } } }
  config.log_level = ENV.fetch("LOG_LEVEL", "info").to_sym
  config.lograge.enabled = true
  config.lograge.custom_options = ->(event) { { request_id: event.payload[:headers]["action_dispatch.request_id"] } }
  config.active_support.deprecation = :log

  $stdout.sync = true
  logger = ActiveSupport::Logger.new($stdout)
  logger.formatter = ::Logger::Formatter.new
  config.logger = ActiveSupport::TaggedLogging.new(logger)
end
