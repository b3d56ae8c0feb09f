import './shop'
