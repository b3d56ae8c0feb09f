Rails.application.routes.draw do
  root 'entries#index'
end
