Rails.application.config.content_security_policy do |policy|
  # Pages may load assets from where they are published: the origin of ASSET_HOST.
  assets = ENV["ASSET_HOST"].to_s[%r{\Ahttps?://[^/]+}]
  ours = [:self, assets].compact
  policy.default_src :self
  policy.script_src(*ours)
  policy.style_src(*ours)
  policy.font_src(*ours)
  policy.img_src(*ours, :data)
  policy.object_src :none
  policy.frame_ancestors :none
end
