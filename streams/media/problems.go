package media

// Problems of a file, as Media.Problem has them.
const (
	Late          = "late"            // has not come in time; it follows
	Gone          = "gone"            // the service has it no more, or its link has expired
	Denied        = "denied"          // the service does not give it to us: token or rights
	Elsewhere     = "elsewhere"       // its link leads to another than the service's hosts
	Unfetched     = "unfetched"       // there is no way to fetch it: no token, or a kind that has no file
	TooLarge      = "too_large"       // larger than media.max_file
	TooManyPixels = "too_many_pixels" // a picture that would need more memory than any photo does
	Empty         = "empty"           // no bytes
	NotIt         = "not_it"          // a page or a message where the file should be
	Altered       = "altered"         // not the bytes that the service spoke of
	Unconverted   = "unconverted"     // kept as it came: it cannot be made a JPEG
	Other         = "other"           // kept as it came: it is something else than it is called
	Unkept        = "unkept"          // of a mail: there was no room or no time to store it
	Failed        = "failed"          // the service's or our own fault until it was given up
)

var texts = map[string][2]string{
	Late:          {"has not come yet, it follows", "ещё не получен, придёт следом"},
	Gone:          {"the service has it no more", "у сервиса его больше нет"},
	Denied:        {"the service does not give it: check the source's token", "сервис его не отдаёт: проверьте token источника"},
	Elsewhere:     {"its link leads to a foreign host", "ссылка ведёт на чужой сервер"},
	Unfetched:     {"not fetched: see it in the messenger", "не скачан: смотрите в мессенджере"},
	TooLarge:      {"larger than media.max_file", "больше, чем media.max_file"},
	TooManyPixels: {"a picture of too many pixels, not stored", "в картинке слишком много точек, не сохранена"},
	Empty:         {"empty", "пустой"},
	NotIt:         {"the service sent a page instead of the file", "сервис прислал страницу вместо файла"},
	Altered:       {"not the file that the service announced", "не тот файл, о котором сообщил сервис"},
	Unconverted:   {"as it came: cannot be converted to JPEG", "как есть: в JPEG не преобразуется"},
	Other:         {"as it came: not what it is called", "как есть: это не то, чем названо"},
	Unkept:        {"not stored: no room or no time; see it in the mailbox", "не сохранён: не было места или времени; смотрите в почтовом ящике"},
	Failed:        {"could not be fetched: see it in the messenger", "не удалось скачать: смотрите в мессенджере"},
}

// Say is a problem in a person's words.
func Say(problem, language string) string {
	text, ok := texts[problem]
	switch {
	case !ok:
		text = texts[Failed]
	}
	if language == "en" {
		return text[0]
	}
	return text[1]
}

var kinds = map[string][2]string{
	"photo": {"photo", "фото"}, "video": {"video", "видео"}, "voice": {"voice message", "голосовое сообщение"},
	"audio": {"audio", "аудио"}, "document": {"document", "документ"}, "sticker": {"sticker", "стикер"},
}

// SayKind is what a file is, in a person's words.
func SayKind(kind, language string) string {
	text, ok := kinds[kind]
	switch {
	case !ok && language == "en":
		return "file"
	case !ok:
		return "файл"
	case language == "en":
		return text[0]
	}
	return text[1]
}
