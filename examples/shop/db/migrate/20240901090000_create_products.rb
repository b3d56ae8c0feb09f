class CreateProducts < ActiveRecord::Migration[6.1]
  def change
    create_table :products do |t|
      t.string :slug, null: false, index: { unique: true }
      t.string :name, null: false
      t.string :tagline, null: false
      t.text :description, null: false
      t.integer :price_cents, null: false
      t.integer :stock, null: false, default: 0
      t.integer :position, null: false, default: 0
      t.timestamps
    end
  end
end
