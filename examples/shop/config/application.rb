require_relative "boot"

require "rails"
require "active_model/railtie"
require "active_record/railtie"
require "action_controller/railtie"
require "action_view/railtie"
require "sprockets/railtie"
require "rails/test_unit/railtie"

Bundler.require(*Rails.groups)

module Shop
  class Application < Rails::Application
    config.load_defaults 6.1
    config.time_zone = ENV.fetch("TIME_ZONE", "UTC")
    config.active_record.dump_schema_after_migration = false # the image is read-only
  end
end
