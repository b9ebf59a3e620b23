package mail

import (
	"net/smtp"
	"testing"
)

func TestMailArrives(t *testing.T) {
	s := New()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	body := "Subject: =?utf-8?q?=D0=A2=D1=80=D0=B5=D0=B2=D0=BE=D0=B3=D0=B0?=\r\nMessage-Id: <1@example.test>\r\n\r\ntext\r\n"
	if err := smtp.SendMail(s.Addr().String(), nil, "a@example.test", []string{"b@example.test"}, []byte(body)); err != nil {
		t.Fatal(err)
	}
	got := s.Messages()
	if len(got) != 1 || got[0].To != "b@example.test" || got[0].From != "a@example.test" || got[0].Subject != "Тревога" || got[0].ID != "<1@example.test>" {
		t.Errorf("messages %+v", got)
	}
}

// A drill that ends on a mistake of its command line closes what it has only just started.
func TestCloseRightAfterStart(t *testing.T) {
	t.Parallel()
	for range 200 {
		s := New()
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
