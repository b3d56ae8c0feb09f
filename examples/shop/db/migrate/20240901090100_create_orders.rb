class CreateOrders < ActiveRecord::Migration[6.1]
  def change
    create_table :orders do |t|
      t.string :token, null: false, index: { unique: true }
      t.references :product, null: false, foreign_key: true
      t.string :customer_name, null: false
      t.string :email, null: false
      t.integer :quantity, null: false
      t.integer :total_cents, null: false
      t.string :status, null: false, default: "received"
      t.string :confirmation_number, index: { unique: true }
      t.datetime :confirmed_at
      t.timestamps
    end
    add_index :orders, :created_at
  end
end
