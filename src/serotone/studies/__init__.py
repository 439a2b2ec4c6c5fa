"""Studies: what one may say (``schema.py``) and how one is read (``reading.py``).

The studies that ship are the YAML files beside these modules. Nothing here needs torch.
"""

from serotone.studies.reading import load_study, shipped_studies
from serotone.studies.schema import Row, Study

__all__ = ["Row", "Study", "load_study", "shipped_studies"]
