"""What can be the matter, as a closed list: what each means, and the way out.

One list for everybody who has to say why: flows (their comment), answers (`Proxy-Status`),
`doctor` and the README. An error says more in its sentence, and in its hint what fits the
case; here stands what is true of all of its kind. Names are part of the contract.
"""

from symphony_auth_proxy.diagnoses.meanings import MEANINGS, Meaning
from symphony_auth_proxy.diagnoses.names import Diagnosis

__all__ = ["MEANINGS", "Diagnosis", "Meaning"]
