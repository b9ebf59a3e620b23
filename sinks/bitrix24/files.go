package bitrix24

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"leadstream/streams"
	"leadstream/streams/media"
)

// Files go on the card as comments of their own, a few files each: only so can they be found by their marker, and a lost
// answer doubles none. A batch of the portal's carries no files, so each comment is a request.

const (
	mostFiles = 10      // in one comment
	mostBytes = 8 << 20 // of files in one comment, unless one alone is larger
)

// fileMarker makes a comment with files findable; n tells several of one lead apart.
func fileMarker(lead string, n int) string { return fmt.Sprintf("[ls:%s/f%d]", lead, n+1) }

// upload is one comment with files.
type upload struct {
	step
	files []streams.Media
}

// uploads are the comments with a lead's files. They depend on nothing but the lead: a further try makes the same.
func (s *Sink) uploads(j *job) []upload {
	var all []upload
	var size int64
	l := j.d.Lead
	for _, m := range l.Media {
		if m.Hash == "" || m.Size > s.set.MaxFile {
			continue
		}
		n := len(all) - 1
		if n < 0 || len(all[n].files) >= mostFiles || size+m.Size > mostBytes {
			n, size = n+1, 0
			all = append(all, upload{step: step{j: j, marker: fileMarker(l.ID, n), name: "files", list: s.listComments(j)}})
		}
		all[n].files = append(all[n].files, m)
		size += m.Size
	}
	return all
}

// attachFiles brings files to their cards, one comment after the other: each holds its files in memory.
func (s *Sink) attachFiles(ctx context.Context, jobs []*job) {
	if s.env.Files == nil {
		return
	}
	by := map[string]upload{}
	var steps []step
	for _, j := range jobs {
		for _, u := range s.uploads(j) {
			by[u.marker] = u
			steps = append(steps, u.step)
		}
	}
	for _, st := range s.missing(ctx, steps) {
		if st.j.settled != nil { // an earlier one of this lead has failed
			continue
		}
		if r := s.upload(ctx, by[st.marker]); r.fail != nil {
			s.incomplete(st, r.fail)
			if r.fail.Result == streams.Ambiguous {
				s.doubt(st.j)
			}
		}
	}
}

// upload makes one comment.
func (s *Sink) upload(ctx context.Context, u upload) reply {
	s.uploading.Lock()
	defer s.uploading.Unlock()
	w := say(s.env.Language)
	var files []any
	text := w.files
	for i, m := range u.files {
		content, err := s.read(m)
		if err != nil { // swept, or in the folder of another daemon
			s.log.Error().Err(err).Str("lead", u.j.d.Lead.ID).Msg("a stored file cannot be read")
			text += "\n" + w.fileAway + " " + m.Hash
			continue
		}
		files = append(files, []any{fmt.Sprintf("%d-%s", i+1, media.FileName(m)), content})
	}
	c := s.comment(u.j, text+"\n"+u.marker)
	if files != nil {
		c.params["fields"].(map[string]any)["FILES"] = files
	}
	if v := s.unfit(ctx, c); v != nil {
		return reply{fail: v}
	}
	r := s.call(ctx, c)
	if r.fail == nil && created(r.result) == "" {
		v := noID(c.method)
		r.fail = &v
	}
	return r
}

func (s *Sink) read(m streams.Media) (string, error) {
	f, err := s.env.Files.File(m.Hash)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var b strings.Builder
	e := base64.NewEncoder(base64.StdEncoding, &b)
	n, err := io.Copy(e, io.LimitReader(f, s.set.MaxFile+1))
	switch {
	case err != nil:
		return "", err
	case n > s.set.MaxFile || n == 0:
		return "", errors.New("the stored file has another size")
	}
	if err := e.Close(); err != nil { // writes the last bytes
		return "", err
	}
	return b.String(), nil
}

// filesText names a lead's files, and of each what is wrong with it.
func (s *Sink) filesText(l *streams.Lead) string {
	var all []string
	for _, m := range l.Media {
		one := media.SayKind(m.Kind, s.env.Language)
		if m.Name != "" {
			one += " " + m.Name
		}
		switch {
		case m.Problem != "":
			one += " (" + media.Say(m.Problem, s.env.Language) + ")"
		case m.Hash == "":
			one += " (" + media.Say(media.Unfetched, s.env.Language) + ")"
		case m.Size > s.set.MaxFile:
			one += fmt.Sprintf(" (%s %s)", say(s.env.Language).fileKept, m.Hash)
		}
		all = append(all, one)
	}
	return strings.Join(all, "; ")
}
