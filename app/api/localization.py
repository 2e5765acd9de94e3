"""The status and error texts that users read, in their language."""

from app.errors import BadInputError, NabraError
from app.pipeline.events import StatusCode
from app.types import Language

_STATUS: dict[StatusCode, dict[Language, str]] = {
    "connected": {"ar": "متصل بالخادم", "en": "Connected"},
    "transcribing": {"ar": "جاري التعرف على الصوت…", "en": "Listening to what you said…"},
    "thinking": {"ar": "جاري التفكير…", "en": "Thinking…"},
    "speaking": {"ar": "جاري تحويل الرد إلى صوت…", "en": "Speaking…"},
    "server-restarting": {
        "ar": "يُعاد تشغيل الخادم. عُد بعد لحظات.",
        "en": "The server is being restarted. Please come back in a moment.",
    },
}

_ERRORS: dict[str, dict[Language, str]] = {
    "internal": {
        "ar": "حدث خطأ داخلي. حاول مرة أخرى.",
        "en": "Something went wrong here. Please try again.",
    },
    "invalid-json": {"ar": "الرسالة ليست JSON صالحة.", "en": "The message is not valid JSON."},
    "message-too-large": {
        "ar": "الرسالة أكبر من المسموح.",
        "en": "The message is too large.",
    },
    "usage-limit": {
        "ar": "بلغ هذا الحساب حدّ الاستخدام. حاول لاحقاً.",
        "en": "This account has reached its usage limit. Please try again later.",
    },
    "session-expired": {
        "ar": "انتهت الجلسة. ابدأ من جديد.",
        "en": "The session has ended. Please start again.",
    },
    "invalid-message": {
        "ar": "شكل الرسالة غير صحيح.",
        "en": "The message does not have the right shape.",
    },
    "unknown-message-type": {
        "ar": "نوع الرسالة غير معروف.",
        "en": "The message is of an unknown type.",
    },
    "invalid-base64": {
        "ar": "الصوت المرسل ليس بترميز base64 صالح.",
        "en": "The audio is not valid base64.",
    },
    "unexpected-binary": {
        "ar": "وصلت بيانات ثنائية غير متوقعة.",
        "en": "A binary frame was not expected.",
    },
    "empty-text": {"ar": "النص فارغ.", "en": "The text is empty."},
    "text-too-long": {"ar": "النص أطول من المسموح.", "en": "The text is too long."},
    "empty-audio": {"ar": "التسجيل فارغ.", "en": "The recording is empty."},
    "undecodable-audio": {
        "ar": "تعذرت قراءة التسجيل الصوتي.",
        "en": "The recording is in no format that can be read.",
    },
    "utterance-too-long": {"ar": "التسجيل أطول من المسموح.", "en": "The recording is too long."},
    "unsupported-configuration": {
        "ar": "هذا الإعداد غير مدعوم.",
        "en": "This configuration is not supported.",
    },
    "decoder-busy": {
        "ar": "الخادم مشغول بتسجيلات أخرى. حاول بعد قليل.",
        "en": "The server is busy with other recordings. Please try again shortly.",
    },
    "no-speech": {
        "ar": "لم أسمع كلاماً واضحاً. هل يمكنك الإعادة؟",
        "en": "I could not hear any words. Could you say that again?",
    },
    "provider": {
        "ar": "خدمة الصوت لا تستجيب كما يجب. حاول مرة أخرى.",
        "en": "The speech service is not responding as it should. Please try again.",
    },
    "provider-rate-limited": {
        "ar": "خدمة الصوت مشغولة. حاول بعد قليل.",
        "en": "The speech service is busy. Please try again shortly.",
    },
    "provider-authentication": {
        "ar": "خدمة الصوت رفضت مفتاح هذا الخادم.",
        "en": "The speech service refused this server's key.",
    },
    "provider-quota": {
        "ar": "نفد رصيد هذا الخادم لدى خدمة الصوت.",
        "en": "This server's account with the speech service is exhausted.",
    },
    "provider-refused": {
        "ar": "رفضت خدمة الصوت هذا الطلب.",
        "en": "The speech service refused this request.",
    },
    "agent": {
        "ar": "تعذر الحصول على رد كامل. حاول مرة أخرى.",
        "en": "No complete answer could be had. Please try again.",
    },
    "agent-data-limit": {
        "ar": "لم يصل كل ما أرسله الوكيل للعرض.",
        "en": "Not all that the agent sent to be shown could be passed on.",
    },
    "agent-timeout": {
        "ar": "تأخر الرد أكثر من اللازم. حاول مرة أخرى.",
        "en": "The answer took too long. Please try again.",
    },
}


def status_text(code: StatusCode, language: Language) -> str:
    """Return the text of a status."""
    return _STATUS[code][language]


def error_text(error: NabraError, language: Language) -> str:
    """Return the text of an error.

    A client's mistake is explained by the error's own message; the message of a provider's error
    stays in the log. A code without a text has that of its family, `provider-timeout` that of
    `provider`.
    """
    family = error.code.partition("-")[0]
    texts = _ERRORS.get(error.code) or _ERRORS.get(family) or _ERRORS["internal"]
    text = texts[language]
    detail = str(error) if isinstance(error, BadInputError) else ""
    return f"{text} ({detail})" if detail else text
