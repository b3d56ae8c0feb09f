# The git revision that this process runs: from the environment, else from the file that the build left, else unknown.
file = Rails.root.join("REVISION")
Rails.application.config.x.revision =
  ENV["KAIUN_REVISION"].presence || (file.read.strip if file.exist?) || "unknown"
