Gem::Specification.new { |s| s.name = 'billing' }
