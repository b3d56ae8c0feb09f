class ApplicationController < ActionController::Base
  rescue_from ActiveRecord::RecordNotFound do
    render "products/missing", status: :not_found, formats: [:html]
  end
end
