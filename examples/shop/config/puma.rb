threads_count = ENV.fetch("RAILS_MAX_THREADS", 5).to_i
threads threads_count, threads_count
workers ENV.fetch("WEB_CONCURRENCY", 0).to_i
bind "tcp://0.0.0.0:#{ENV.fetch('PORT', 3000)}"
environment ENV.fetch("RAILS_ENV", "development")

# An idle connection must outlive the load balancer's idle timeout (60 s),
# or Puma closes one just as the balancer sends a request on it.
persistent_timeout 75
first_data_timeout 75

# On SIGTERM, answer what has already been accepted by the kernel before going.
drain_on_shutdown true
raise_exception_on_sigterm false
