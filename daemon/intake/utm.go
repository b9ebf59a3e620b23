package intake

import (
	"net/url"
	"strings"
)

// utm collects the marks of advertising: from fields of their own, from Tilda's cookie, from the page's address.
func (d *draft) utm() {
	for t := toSource; t <= toTerm; t++ {
		d.mark(utmNames[t], d.text[t])
	}
	if cookies := d.text[toCookies]; cookies != "" {
		d.tildaCookie(cookies)
	}
	if page := d.text[toPage]; strings.Contains(page, "utm_") {
		d.pageMarks(page)
	}
}

func (d *draft) mark(name, value string) {
	value = strings.TrimSpace(value)
	if value == "" || isBroken(value) || d.lead.UTM[name] != "" {
		return
	}
	if d.lead.UTM == nil {
		d.lead.UTM = make(map[string]string, 5)
	}
	d.lead.UTM[name] = value
}

// tildaCookie reads TILDAUTM=utm_source%3D…%7C%7C%7Cutm_medium%3D… out of a string of cookies.
func (d *draft) tildaCookie(cookies string) {
	for cookie := range strings.SplitSeq(cookies, ";") {
		value, ok := strings.CutPrefix(strings.TrimSpace(cookie), "TILDAUTM=")
		if !ok {
			continue
		}
		for mark := range strings.SplitSeq(unescape(value), "|||") {
			if name, value, ok := strings.Cut(mark, "="); ok {
				d.known(name, value)
			}
		}
	}
}

func (d *draft) pageMarks(page string) {
	_, query, _ := strings.Cut(page, "?")
	query, _, _ = strings.Cut(query, "#")
	values, _ := url.ParseQuery(query) // what it cannot parse it leaves out
	for t := toSource; t <= toTerm; t++ {
		d.mark(utmNames[t], values.Get("utm_"+utmNames[t]))
	}
}

func (d *draft) known(name, value string) {
	name = strings.TrimPrefix(name, "utm_")
	switch name {
	case "source", "medium", "campaign", "content", "term":
		d.mark(name, value)
	}
}
