/**
 * The texts of the page, each in Arabic and in English; `{name}` is a placeholder.
 *
 * @type {import("../types").Texts}
 */
export const TEXTS = {
  name: ["نبرة", "Nabra"],
  "other-language": ["English", "العربية"],
  conversation: ["المحادثة", "Conversation"],
  panel: ["ما وراء المحادثة", "Behind the conversation"],
  report: ["ما الذي حدث", "What happened"],
  workbench: ["ورشة الأعطال", "Workbench"],
  close: ["إغلاق", "Close"],

  "welcome-title": ["تحدّث، وستسمع الجواب", "Speak, and hear the answer"],
  "welcome-text": [
    "اسأل بصوتك أو كتابةً. يبدأ الجواب حالما تكتمل أول جملة منه، وتستطيع مقاطعته متى شئت.",
    "Ask by voice or in writing. The answer is spoken as soon as its first sentence is there, and you may interrupt it whenever you like.",
  ],
  simulated: [
    "هذه تجربة بلا مفتاح: المحاكي ينطق ويجيب، لكنه لا يسمع حقاً؛ فما «يسمعه» نصٌّ مكتوب مسبقاً.",
    "This is a trial without a key: a simulator answers in Arabic, aloud, but cannot hear. What it “hears” comes from a script.",
  ],
  start: ["ابدأ المحادثة", "Start the conversation"],

  "token-help": [
    "لا يفتح هذا الخادم إلا برمز. اطلبه من القائم عليه؛ ويبقى في هذا التبويب وحده حتى تغلقه.",
    "This server opens with a token only. Whoever runs it can give you one; it stays in this tab, until you close it.",
  ],
  token: ["رمز الدخول", "Token"],
  "token-submit": ["ادخل وابدأ", "Enter and start"],
  "refused-credential-missing": ["لا بد من رمز. أدخل رمزاً.", "A token is needed. Enter one."],
  "refused-token-expired": ["انتهت صلاحية الرمز. اطلب رمزاً جديداً وأدخله.", "The token has expired. Ask for a new one and enter it."],
  "refused-token-invalid": ["لم يقبل الخادم هذا الرمز. انسخه كاملاً ثم أدخله من جديد.", "The server does not accept this token. Copy the whole of it and enter it again."],
  "refused-session-not-yours": ["هذا الرمز لمحادثة أخرى. اطلب رمزاً جديداً وأدخله.", "This token is for another conversation. Ask for a new one and enter it."],

  "hands-free": ["بلا أزرار", "Hands-free"],
  talk: ["تحدّث", "Talk"],
  stop: ["أسكِته", "Stop"],
  type: ["أو اكتب هنا…", "Or type here…"],
  send: ["أرسل", "Send"],
  you: ["أنت:", "You:"],
  agent: ["نبرة:", "Nabra:"],

  "status-idle": ["اضغط مطوّلاً وتحدّث، أو انقر ثم انقر عند الانتهاء.", "Hold to talk, or tap and tap again when done."],
  "status-opening": ["أفتح الميكروفون…", "Opening the microphone…"],
  "status-listening": ["أسمعك… انقر أو ارفع إصبعك عند الانتهاء.", "Listening… tap or let go when you are done."],
  "status-hands-free": ["أسمعك. تحدّث متى شئت.", "Listening. Speak whenever you like."],
  "status-user-speaking": ["أسمعك تتكلم…", "I hear you…"],
  "status-sent": ["لحظة…", "One moment…"],
  "status-transcribing": ["أتعرّف على ما قلت…", "Working out what you said…"],
  "status-thinking": ["أفكّر…", "Thinking…"],
  "status-speaking": ["أتكلم. قاطعني متى شئت.", "Speaking. Interrupt me whenever you like."],

  "state-idle": ["لم تبدأ بعد", "Not started"],
  "state-connecting": ["أتصل…", "Connecting…"],
  "state-open": ["متصل", "Connected"],
  "state-waiting": ["انقطع، أعيد بعد {seconds}", "Lost, again in {seconds}"],
  "state-full": ["الخادم ممتلئ، أعيد بعد {seconds}", "Full, again in {seconds}"],
  "state-closed": ["غير متصل", "Not connected"],

  interrupted: ["قوطِع", "Interrupted"],
  "not-played": ["لم يُسمع:", "Not heard:"],
  "cut-off": ["انقطع الاتصال قبل تمام الجواب.", "The connection was lost before the answer was complete."],
  "first-sound": ["أول صوت بعد {time}", "First sound after {time}"],
  "first-sent": ["أُرسل أول صوت بعد {time}", "First audio sent after {time}"],
  repaired: ["أُصلح {count} دون أن يُسمع", "{count} repaired unheard"],
  "see-turn": ["ما الذي حدث في هذا الدور", "What happened in this turn"],
  dismiss: ["أخفِ هذا التنبيه", "Dismiss"],
  "try-again": ["حاول مرة أخرى", "Try again"],
  "turn-sound-on": ["شغّل الصوت", "Turn sound on"],
  "go-on-typing": ["وتستطيع الكتابة في كل حال.", "You can type in any case."],

  "problem-no-microphone": ["لا أجد ميكروفوناً. صِل واحداً ثم حاول مرة أخرى.", "No microphone was found. Plug one in and try again."],
  "problem-microphone-denied": [
    "لم يُسمح لي بالميكروفون. اضغط على الرمز الذي يسبق العنوان في أعلى المتصفح، واسمح بالميكروفون، ثم حاول مرة أخرى.",
    "I may not use the microphone. Click the symbol before the address at the top of the browser, allow the microphone, and try again.",
  ],
  "problem-microphone-busy": [
    "الميكروفون لا يستجيب؛ لعل تطبيقاً آخر يستعمله. أغلقه ثم حاول مرة أخرى.",
    "The microphone does not respond; another application may be using it. Close that one and try again.",
  ],
  "problem-insecure-context": [
    "لا يتيح المتصفح الصوت إلا لصفحة آمنة. افتح هذه الصفحة بعنوان يبدأ بـ https، أو على هذا الجهاز بعنوان localhost.",
    "Browsers give sound and microphone to secure pages only. Open this page by an address that begins with https, or on this machine as localhost.",
  ],
  "problem-unsupported-browser": ["هذا المتصفح أقدم من أن يتحدث. حدّثه، أو استعمل Chrome أو Safari أو Firefox حديثاً.", "This browser is too old to talk. Update it, or use a recent Chrome, Safari or Firefox."],
  "problem-connection-lost": ["انقطع الاتصال بالخادم. تحقق من الشبكة؛ وأنا أحاول من جديد، والمحادثة محفوظة.", "The connection was lost. Check your network; I keep trying, and the conversation is kept."],
  "problem-server-draining": ["الخادم يُعاد تشغيله. أعود بك إليه حالما يجهز؛ لا تفعل شيئاً.", "The server is being restarted. You will be back as soon as it is ready; there is nothing you need to do."],
  "problem-refused": ["رفض الخادم هذا الاتصال: الإذن ناقص أو منتهٍ. أعد تحميل الصفحة، أو اطلب رابطاً جديداً ممن أعطاك هذا.", "The server refused this connection: permission is missing or has expired. Reload the page, or ask whoever gave you this link for a new one."],
  "problem-too-busy": ["الخادم مشغول بمحادثات أخرى. سأحاول من جديد بعد قليل.", "The server is busy with other conversations. I will try again shortly."],
  "problem-origin-not-allowed": ["لا يقبل الخادم صفحة من هذا العنوان. افتحها بعنوان الخادم نفسه، أو أضف عنوانها إلى ALLOWED_ORIGINS.", "The server accepts no page from this address. Open it by the server's own address, or add this one to ALLOWED_ORIGINS."],
  "problem-audio-locked": ["حجب المتصفح الصوت. انقر هنا ليُسمع.", "The browser keeps the sound back. Click here to hear it."],
  "problem-no-hands-free": ["لا يستطيع هذا الخادم معرفة متى تتكلم. استعمل زر الميكروفون.", "This server cannot tell when you speak. Use the microphone button."],
  "problem-page-incomplete": ["لم يكتمل تحميل الصفحة. تحقق من الشبكة ثم حاول مرة أخرى.", "The page could not be loaded completely. Check your network and try again."],
  "problem-not-sent": ["لم يُرسل: لا اتصال الآن. سيبقى النص هنا حتى يعود.", "Not sent: there is no connection now. The text stays here until there is."],

  "no-turn": ["بعد كل جواب ترى هنا أين ذهب الوقت، وما فشل، وكيف أُصلح.", "After each answer you see here where the time went, what failed and how it was repaired."],
};
