Rails.application.config.content_security_policy do |policy|
  policy.default_src :self
  policy.img_src :self, :data
  policy.object_src :none
  policy.frame_ancestors :none
end
