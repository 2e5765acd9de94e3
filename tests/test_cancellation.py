"""Cancelled at any suspension, a sentence, a turn or an utterance leaves nothing behind.

Each case is run again and again, cancelled at suspension 1, 2, 3, … until a run has no more.
"""

TEXT = "أهلاً وسهلاً بك في خدمة العملاء."
TWO_SENTENCES = f"{TEXT} شحنتك في الطريق إليك الآن."
THREE_SENTENCES = f"{TWO_SENTENCES} هل تحتاج إلى أي مساعدة؟"
RELEASE_TIMEOUT_S = 10.0  # longer than the longest drain
