package sms

import (
	"errors"
	"strings"
)

// Number is a mobile number as gateways want it, digits with the country. Russian numbers may be written with 8 or, where
// region is RU, without either; Russian landlines and 8-800 numbers are refused, since they take no SMS.
func Number(written, region string) (string, error) {
	trimmed := strings.TrimSpace(written)
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, trimmed)
	if strings.Trim(trimmed, "+0123456789()-. \u00a0") != "" || strings.LastIndexByte(trimmed, '+') > 0 {
		return "", errors.New("is not a phone number; write it as +79990000011")
	}
	russian := (region == "RU" || region == "") && !strings.HasPrefix(trimmed, "+")
	switch {
	case russian && len(digits) == 11 && digits[0] == '8':
		digits = "7" + digits[1:]
	case russian && len(digits) == 10 && digits[0] == '9':
		digits = "7" + digits
	}
	switch {
	case len(digits) < 8 || len(digits) > 15 || digits[0] == '0':
		return "", errors.New("is not a whole phone number; write it with the country, as +79990000011")
	case digits[0] == '7' && len(digits) != 11:
		return "", errors.New("has not the eleven digits of a number in +7")
	case digits[0] == '7' && strings.IndexByte("348", digits[1]) >= 0:
		return "", errors.New("is a landline or an 8-800 number, which takes no SMS; give a mobile number")
	}
	return digits, nil
}
