require "sidekiq"

# Sidekiq 6 speaks to redis 4.8 in ways that redis 5 will not take; Debian pairs the two for good.
Redis.silence_deprecations = true

redis = { url: ENV.fetch("REDIS_URL", "redis://localhost:6379/0") }

Sidekiq.configure_client { |config| config.redis = redis }

Sidekiq.configure_server do |config|
  config.redis = redis

  # The container's health check looks at the age of this file (bin/sidekiq-alive).
  config.on(:startup) do
    alive = Rails.root.join("tmp/sidekiq.alive")
    Thread.new { loop { FileUtils.touch(alive) && sleep(5) } }
  end
end
