# Stands for a payment provider: takes as long as one, and takes no money.
module PaymentGateway
  LATENCY_S = ENV.fetch("PAYMENT_LATENCY_S", "0.5").to_f

  def self.charge(reference:, cents:)
    raise ArgumentError, "nothing to charge" unless cents.positive?

    sleep LATENCY_S
    { reference: reference, cents: cents }
  end
end
