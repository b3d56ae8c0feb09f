"""Pure: (Config, Release, Live) → Plan."""
