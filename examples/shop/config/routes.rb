Rails.application.routes.draw do
  root "products#index"

  resources :products, only: [:show], param: :slug do
    resources :orders, only: [:create]
  end
  resources :orders, only: [:show], param: :token

  namespace :admin do
    resources :orders, only: [:index]
  end

  # Says only that the process answers: a database that is away must not make the balancer stop every container.
  get "up", to: ->(_env) { [200, { "Content-Type" => "text/plain", "Cache-Control" => "no-store" }, ["up\n"]] }
end
