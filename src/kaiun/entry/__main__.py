"""Run the zipapp: `python3 -I -S /opt/kaiun/entry.pyz web`."""

from kaiun.entry.main import main

main()
