package fetch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"leadstream/streams"
	"leadstream/streams/media"
)

// telegramFile asks where a file is (core.telegram.org/bots/api#getfile). The place holds the token.
func (s *Source) telegramFile(ctx context.Context, m streams.Media) (place, *fault) {
	a, fl := s.ask(ctx, "/bot"+s.set.Token+"/getFile", url.Values{"file_id": {m.Ref}}, nil)
	if fl != nil {
		return place{}, fl
	}
	var out struct {
		OK     bool `json:"ok"`
		Result struct {
			Path string `json:"file_path"`
		} `json:"result"`
		Code        int    `json:"error_code"`
		Description string `json:"description"`
		Parameters  struct {
			RetryAfter int `json:"retry_after"`
		} `json:"parameters"`
	}
	if err := a.JSON(&out); err != nil {
		return place{}, temporary(fmt.Errorf("getFile: %w", err))
	}
	said := strings.ToLower(out.Description)
	switch code := max(out.Code, a.Status); {
	case out.OK && out.Result.Path != "" && path.Clean("/"+out.Result.Path) == "/"+out.Result.Path:
		return place{url: s.base + "/file/bot" + s.set.Token + "/" + out.Result.Path}, nil
	case out.OK:
		return place{}, final(media.Unfetched, "getFile names no path")
	case code == http.StatusUnauthorized || code == http.StatusNotFound:
		return place{}, &fault{denied: true, after: restTime, err: errors.New("getFile: the token is not accepted: take a new one from @BotFather")}
	case code == http.StatusTooManyRequests:
		return place{}, &fault{rest: true, after: max(time.Duration(out.Parameters.RetryAfter)*time.Second, time.Second), err: errors.New("getFile: too many requests")}
	case strings.Contains(said, "too big"):
		return place{}, final(media.TooLarge, "getFile: more than 20 MB, bots do not get it")
	case code >= 500 || strings.Contains(said, "temporarily unavailable") && !strings.Contains(said, "wrong file"):
		return place{}, temporary(fmt.Errorf("getFile: answered %d", code))
	}
	return place{}, final(media.Gone, "getFile: answered %d", out.Code)
}

// maxAsks tells videos, of which MAX says a token alone; other files have their link.
func maxAsks(m streams.Media) bool { return m.Kind == "video" && m.Ref != "" }

// maxFile asks for the link of a video (dev.max.ru/docs-api/methods/GET/videos/-videoToken-).
func (s *Source) maxFile(ctx context.Context, m streams.Media) (place, *fault) {
	a, fl := s.ask(ctx, "/videos/"+url.PathEscape(m.Ref), nil, http.Header{"Authorization": {s.set.Token}})
	if fl != nil {
		return place{}, fl
	}
	if !a.OK() {
		if a.Status == http.StatusForbidden {
			return place{}, &fault{denied: true, after: restTime, err: errors.New("videos: the token is not accepted")}
		}
		return place{}, s.refusal(a)
	}
	var out struct {
		URLs map[string]string `json:"urls"`
	}
	if err := a.JSON(&out); err != nil {
		return place{}, temporary(fmt.Errorf("videos: %w", err))
	}
	for _, quality := range append([]string{"mp4_720", "mp4_480", "mp4_1080", "mp4_360", "mp4_240", "mp4_144"}, slices.Sorted(maps.Keys(out.URLs))...) {
		if at := out.URLs[quality]; at != "" && strings.HasPrefix(quality, "mp4_") {
			return place{url: at}, nil
		}
	}
	return place{url: m.URL}, nil
}
