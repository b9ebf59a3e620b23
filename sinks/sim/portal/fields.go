package portal

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// kind is a CRM entity type as crm.item.* numbers them.
type kind int

const (
	lead    kind = 1
	deal    kind = 2
	contact kind = 3
)

func (k kind) String() string {
	return map[kind]string{lead: "lead", deal: "deal", contact: "contact"}[k]
}

// field is one column of an entity: its name in crm.item.*, in crm.lead.* and the like, and its type.
type field struct {
	name, old string
	typ       string // string, text, integer, double, char, datetime, list
	size      int    // VARCHAR characters
	fixed     bool   // read only
}

var shared = []field{
	{"id", "ID", "integer", 0, true},
	{"createdTime", "DATE_CREATE", "datetime", 0, true},
	{"updatedTime", "DATE_MODIFY", "datetime", 0, true},
	{"createdBy", "CREATED_BY_ID", "integer", 0, true},
	{"updatedBy", "MODIFY_BY_ID", "integer", 0, true},
	{"assignedById", "ASSIGNED_BY_ID", "integer", 0, false},
	{"opened", "OPENED", "char", 0, false},
	{"comments", "COMMENTS", "text", 0, false},
	{"sourceId", "SOURCE_ID", "string", 50, false},
	{"sourceDescription", "SOURCE_DESCRIPTION", "text", 0, false},
	{"originatorId", "ORIGINATOR_ID", "string", 255, false},
	{"originId", "ORIGIN_ID", "string", 255, false},
	{"companyId", "COMPANY_ID", "integer", 0, false},
	{"observers", "OBSERVER_IDS", "list", 0, false},
	{"utmSource", "UTM_SOURCE", "string", 255, false},
	{"utmMedium", "UTM_MEDIUM", "string", 255, false},
	{"utmCampaign", "UTM_CAMPAIGN", "string", 255, false},
	{"utmContent", "UTM_CONTENT", "string", 255, false},
	{"utmTerm", "UTM_TERM", "string", 255, false},
}

var person = []field{
	{"honorific", "HONORIFIC", "string", 128, false},
	{"name", "NAME", "string", 50, false},
	{"secondName", "SECOND_NAME", "string", 50, false},
	{"lastName", "LAST_NAME", "string", 50, false},
	{"post", "POST", "string", 255, false},
	{"birthdate", "BIRTHDATE", "string", 32, false},
}

var money = []field{
	{"title", "TITLE", "string", 255, false},
	{"opportunity", "OPPORTUNITY", "double", 0, false},
	{"currencyId", "CURRENCY_ID", "string", 50, false},
	{"isManualOpportunity", "IS_MANUAL_OPPORTUNITY", "char", 0, false},
	{"contactId", "CONTACT_ID", "integer", 0, false},
	{"contactIds", "CONTACT_IDS", "list", 0, false},
	{"isReturnCustomer", "IS_RETURN_CUSTOMER", "char", 0, true},
}

var own = map[kind][]field{
	lead: slices.Concat(shared, person, money, []field{
		{"stageId", "STATUS_ID", "string", 50, false},
		{"stageSemanticId", "STATUS_SEMANTIC_ID", "string", 3, true},
		{"statusDescription", "STATUS_DESCRIPTION", "text", 0, false},
		{"companyTitle", "COMPANY_TITLE", "string", 255, false},
		{"address", "ADDRESS", "text", 0, false},
	}),
	deal: slices.Concat(shared, money, []field{
		{"stageId", "STAGE_ID", "string", 50, false},
		{"stageSemanticId", "STAGE_SEMANTIC_ID", "string", 3, true},
		{"closed", "CLOSED", "char", 0, true},
		{"categoryId", "CATEGORY_ID", "integer", 0, false},
		{"typeId", "TYPE_ID", "string", 50, false},
		{"additionalInfo", "ADDITIONAL_INFO", "text", 0, false},
		{"leadId", "LEAD_ID", "integer", 0, false},
	}),
	contact: slices.Concat(shared, person, []field{
		{"typeId", "TYPE_ID", "string", 50, false},
		{"leadId", "LEAD_ID", "integer", 0, false},
		{"originVersion", "ORIGIN_VERSION", "string", 255, false},
	}),
}

// fields is all of a kind's columns, custom ones included.
func (p *Portal) fields(k kind) []field {
	all := slices.Clone(own[k])
	for _, uf := range p.o.UserFields {
		all = append(all, field{name: camel(uf), old: uf, typ: "string", size: 0})
	}
	return all
}

// camel turns UF_CRM_17 into ufCrm_17, as crm.item.* does.
func camel(uf string) string {
	parts := strings.Split(strings.ToLower(uf), "_")
	var b strings.Builder
	for i, s := range parts {
		switch {
		case i == 0:
			b.WriteString(s)
		case s != "" && s[0] >= '0' && s[0] <= '9':
			b.WriteString("_" + s)
		case s != "":
			b.WriteString(strings.ToUpper(s[:1]) + s[1:])
		}
	}
	return b.String()
}

const textBytes = 65535

// value turns what came in into what the column holds, or says that it cannot.
func (p *Portal) value(f field, v any) (any, *Error) {
	wrong := func() (any, *Error) {
		return nil, fail("CRM_FIELD_ERROR_VALUE_NOT_VALID", fmt.Sprintf("Field: '%s' has invalid value.", f.name))
	}
	s := text(v)
	switch f.typ {
	case "list":
		var ids []any
		for _, e := range elements(v) {
			n, err := strconv.Atoi(text(e))
			if err != nil {
				return wrong()
			}
			ids = append(ids, n)
		}
		return ids, nil
	case "integer":
		if s == "" {
			return nil, nil
		}
		n, err := strconv.Atoi(s)
		if err != nil {
			return wrong()
		}
		return n, nil
	case "double":
		if s == "" {
			return 0.0, nil
		}
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return wrong()
		}
		return n, nil
	case "char":
		if s == "Y" || s == "1" || s == "true" {
			return "Y", nil
		}
		return "N", nil
	}
	short := cutBytes(s, textBytes)
	if f.size > 0 && utf8.RuneCountInString(s) > f.size {
		short = string([]rune(s)[:f.size])
	}
	if short != s && p.o.Strict {
		return wrong()
	}
	return short, nil
}

// cutBytes cuts on a rune's border.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// text is a scalar as PHP would print it; empty for a list or an object.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "1"
		}
	case int:
		return strconv.Itoa(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case time.Time:
		return stamp(v)
	}
	return ""
}

// elements is a list's elements, or an object's values in order; a scalar is a list of itself.
func elements(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	case *object:
		var l []any
		for _, k := range v.keys {
			l = append(l, v.m[k])
		}
		return l
	}
	return []any{v}
}

func number(v any) int {
	n, _ := strconv.Atoi(text(v))
	return n
}
