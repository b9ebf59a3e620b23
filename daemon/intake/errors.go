package intake

import (
	"fmt"
	"net/http"
)

// Error is why a request, or one item of it, was not taken, in words for its sender.
type Error struct {
	Code   string // stable, for programs
	Field  string // the field or header at fault, if one is
	Detail string // place in the body; never its content
}

func (e *Error) Error() string { return e.Text("en") }

// Text is the sentence for a person.
func (e *Error) Text(language string) string {
	k := errorKinds[e.Code]
	text := k.en
	if language == "ru" {
		text = k.ru
	}
	if e.Detail != "" {
		text += " (" + e.Detail + ")"
	}
	return text
}

// Status is the HTTP status of the answer.
func (e *Error) Status() int { return errorKinds[e.Code].status }

func fault(code, detail string) *Error { return &Error{Code: code, Detail: detail} }

func place(line, column int) string { return fmt.Sprintf("%d:%d", line, column) }

// errorKinds are all the codes that an answer can have.
var errorKinds = map[string]struct {
	status int
	en, ru string
}{
	"bad_json":         {http.StatusBadRequest, "The body is not valid JSON", "Тело запроса не является корректным JSON"},
	"bad_form":         {http.StatusBadRequest, "The form cannot be read", "Форму не удалось прочитать"},
	"bad_encoding":     {http.StatusBadRequest, "The text is neither UTF-8 nor Windows-1251", "Текст не в UTF-8 и не в Windows-1251"},
	"bad_gzip":         {http.StatusBadRequest, "The body is not valid gzip", "Тело запроса не распаковывается как gzip"},
	"nul_character":    {http.StatusBadRequest, "The text holds a NUL character", "В тексте есть символ NUL"},
	"empty_body":       {http.StatusBadRequest, "The body is empty", "Тело запроса пустое"},
	"not_an_object":    {http.StatusBadRequest, "A lead must be a JSON object", "Заявка должна быть объектом JSON"},
	"too_deep":         {http.StatusBadRequest, "The JSON is nested too deeply", "Слишком глубокая вложенность JSON"},
	"too_many_members": {http.StatusBadRequest, "The body has too many fields", "Слишком много полей"},
	"too_many_items":   {http.StatusBadRequest, "The array has too many items", "Слишком много заявок в одном массиве"},
	"incomplete":       {http.StatusBadRequest, "The body ended early", "Тело запроса получено не полностью"},
	"unauthorized":     {http.StatusUnauthorized, "The key or signature is wrong", "Неверный ключ или подпись"},
	"origin":           {http.StatusForbidden, "This site may not send here", "С этого сайта отправлять заявки нельзя"},
	"no_such_path":     {http.StatusNotFound, "There is nothing at this address", "По этому адресу ничего нет"},
	"method":           {http.StatusMethodNotAllowed, "Only POST is taken here", "Здесь принимается только POST"},
	"timeout":          {http.StatusRequestTimeout, "The body came too slowly", "Тело запроса передавалось слишком долго"},
	"too_large":        {http.StatusRequestEntityTooLarge, "The body is too large", "Тело запроса слишком велико"},
	"unsupported_type": {http.StatusUnsupportedMediaType, "This content type is not understood", "Такой тип содержимого не поддерживается"},
	"unsupported_coding": {http.StatusUnsupportedMediaType, "This content encoding is not understood",
		"Такое сжатие содержимого не поддерживается"},
	"bad_link":          {http.StatusBadRequest, "A link leads to an address of http or https, of 2048 bytes at most", "Ссылка ведёт на адрес http или https, не длиннее 2048 байт"},
	"bad_contact":       {http.StatusBadRequest, "This names no customer: it is no phone number, no address, or too long", "Клиента так не найти: не телефон, не почта или слишком длинно"},
	"no_customer":       {http.StatusBadRequest, "Say whose link it is: phone, email, channel with user_id, or about", "Укажите, чья это ссылка: phone, email, channel с user_id или about"},
	"no_text":           {http.StatusBadRequest, "This must be a text", "Здесь должен быть текст"},
	"not_a_link":        {http.StatusBadRequest, "What a link is asked with must be a JSON object", "Запрос ссылки должен быть объектом JSON"},
	"too_many_requests": {http.StatusTooManyRequests, "Too many requests, please come again later", "Слишком много запросов, повторите позже"},
	"unavailable":       {http.StatusServiceUnavailable, "Leads cannot be kept now, please come again later", "Сейчас сохранить заявку нельзя, повторите позже"},
}
