# Idempotent: runs before every deploy. Sets the catalogue; leaves the stock of products that exist.
[
  ["harbour-sencha", "Harbour Sencha", "First flush, 100 g", 1450,
   "Bright, grassy green tea from terraces that look over the bay. Brew at 70 °C, one minute, and again."],
  ["iron-kettle", "Iron Kettle", "Cast iron, 0.8 l", 6800,
   "A kettle that will outlive its owner. Enamelled inside, rough as a pier outside, and it pours without a drip."],
  ["enamel-mug", "Watchkeeper's Mug", "Enamel, 350 ml", 1200,
   "White enamel with a navy rim. Survives the galley floor; chips become character."],
  ["canvas-tote", "Sailcloth Tote", "Recycled canvas", 3200,
   "Sewn from retired sails, so every bag has its own weather. Holds a weekend or a week of groceries."],
  ["brass-lamp", "Brass Gimbal Lamp", "Oil or candle", 8900,
   "Stays upright when the table does not. Solid brass that darkens with years and polishes back in minutes."],
  ["salt-caramels", "Sea-Salt Caramels", "Box of 16", 980,
   "Soft butter caramels with flakes of bay salt, cooked in small batches on the quay."],
  ["logbook", "Oilskin Logbook", "A5, 160 pages", 2100,
   "Waterproof cover, thread-sewn, opens flat. Dotted pages that take a fountain pen without bleeding."],
  ["rope-mat", "Knotted Rope Mat", "Manila, 60 × 40 cm", 4400,
   "An ocean-plait mat tied by hand from manila rope. Shake it out; it has seen worse than your boots."]
].each_with_index do |(slug, name, tagline, price_cents, description), position|
  product = Product.find_or_initialize_by(slug: slug)
  product.stock = 10_000 if product.new_record?
  product.update!(name: name, tagline: tagline, price_cents: price_cents, description: description, position: position)
end

puts "#{Product.count} products in the catalogue"
