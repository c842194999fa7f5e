"""The Python API in a few lines: find entities in documents and print them.

python examples/annotate.py            the invented abstracts beside this script
python examples/annotate.py FILE...    files of your own, in any format that Textome reads
"""

import sys
from pathlib import Path

import textome

pipeline = textome.load()  # the bundled model; textome.load("path/to/bundle") for another

for path in sys.argv[1:] or [Path(__file__).with_name("abstracts.xml")]:
    for document in pipeline(textome.read_documents(path)):
        print(f"\n{document.id}  {document.passages[0].text if document.passages else ''}")
        for entity in document.entities:
            confidence = "" if entity.confidence is None else f"{entity.confidence:.2f}"
            print(f"{entity.start:>6}-{entity.end:<6} {entity.type:<10} {confidence:<5} {entity.text}")
