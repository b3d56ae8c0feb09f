Rails.application.config.filter_parameters += [:email, :name, :password, :token]
