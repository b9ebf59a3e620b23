package intake

import (
	"bytes"
	"mime"
	"strings"
	"unicode/utf8"
)

// item is one lead as it stands in a body: its members in order, or why they cannot be read.
type item struct {
	raw      []byte
	members  []member
	index    int  // from 1 in an array or NDJSON; 0 for a body that is one lead
	form     bool // members come from a form: every value is text
	repaired bool // was no JSON as it came
	err      error
}

// decode reads a body by its content type, and by its looks where the type is missing, vague or wrong: senders say JSON
// and post forms, say form and post JSON, and navigator.sendBeacon can only say text.
func decode(body []byte, contentType string) ([]item, error) {
	media, params := mediaType(contentType)
	if media == "multipart/form-data" {
		return parseMultipart(body, params["boundary"], params["charset"])
	}
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	first := skipSpace(body, 0)
	if first == len(body) {
		return nil, fault("empty_body", "")
	}
	looksJSON := body[first] == '{' || body[first] == '['
	switch {
	case media == "application/x-ndjson" || media == "application/ndjson" || media == "application/jsonl":
		text, err := jsonText(body, params["charset"])
		if err != nil {
			return nil, err
		}
		return parseLines(text)
	case media == "application/x-www-form-urlencoded" && !(looksJSON && valid(body)):
		return parseURLEncoded(body, params["charset"])
	case looksJSON || isJSON(media) && !looksForm(body):
		text, err := jsonText(body, params["charset"])
		if err != nil {
			return nil, err
		}
		return parseJSON(text)
	case media == "text/plain" && looksForm(body) && !bytes.Contains(body, []byte("&")):
		return parsePlainForm(body, params["charset"])
	case looksForm(body) && (media == "" || media == "text/plain" || media == "application/octet-stream" || isJSON(media)):
		return parseURLEncoded(body, params["charset"])
	}
	return nil, &Error{Code: "unsupported_type", Field: "Content-Type"}
}

func isJSON(media string) bool {
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}

// looksForm is true for text that starts like `name=value`, its name as browsers write names.
func looksForm(body []byte) bool {
	name, _, found := bytes.Cut(body, []byte("="))
	return found && len(name) > 0 && len(name) <= 128 && !bytes.ContainsAny(name, "<>\"{}: \t\r\n")
}

// mediaType parses leniently: what cannot be parsed counts as missing, and the body is looked at.
func mediaType(contentType string) (media string, params map[string]string) {
	switch contentType { // by far the most frequent, without the maps of mime
	case "application/json":
		return contentType, nil
	case "":
		return "", nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		head, _, _ := strings.Cut(contentType, ";")
		return strings.ToLower(strings.TrimSpace(head)), params
	}
	return media, params
}

// jsonText is a JSON body in UTF-8. What is valid UTF-8 is UTF-8, whatever its charset says: many clients name one by
// habit, and Cyrillic in the old charsets is never valid UTF-8.
func jsonText(body []byte, charset string) ([]byte, error) {
	if utf8.Valid(body) {
		return body, nil
	}
	table := charsets[strings.ToLower(charset)]
	if table == nil {
		table = charsets["windows-1251"]
	}
	text, err := table.NewDecoder().Bytes(body)
	if err != nil || bytes.ContainsRune(text, utf8.RuneError) {
		return nil, fault("bad_encoding", "")
	}
	return text, nil
}
