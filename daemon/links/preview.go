package links

import (
	"net/http"
	"strings"
)

// machines are parts of the User-Agent of whatever opens a link before, or instead of, its reader: messengers and mail
// clients that show what is behind it, search engines, tools. Most others of that sort name their page ("+http").
// "bot" alone is none of them: telephones are called CUBOT.
var machines = []string{
	"telegrambot", "whatsapp/", "facebookexternalhit", "facebookcatalog", "facebot", "meta-externalagent", "meta-externalfetcher",
	"vkshare", "vkrobot", "odklbot", "mail.ru_bot", "slackbot", "slack-imgproxy", "twitterbot", "linkedinbot", "discordbot",
	"skypeuripreview", "bitlybot", "pinterestbot", "redditbot", "googlebot", "google-read-aloud", "googleimageproxy",
	"google-safety", "applebot", "bingbot", "bingpreview", "yandexbot", "yandex.com/bots", "barkrowler", "embedly", "iframely", "crawler",
	"spider", "preview", "headlesschrome", "curl/", "wget/", "python-requests", "python-urllib", "aiohttp", "go-http-client",
	"okhttp", "java/", "axios", "node-fetch", "libwww-perl", "+http",
}

// Preview is whether a request comes from a machine that looks where a link leads: no customer has opened it.
func Preview(r *http.Request) bool {
	if r.Method == http.MethodHead {
		return true
	}
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		if v := strings.ToLower(r.Header.Get(name)); strings.Contains(v, "prefetch") || strings.Contains(v, "preview") {
			return true
		}
	}
	agent := strings.ToLower(r.UserAgent())
	for _, part := range machines {
		if strings.Contains(agent, part) {
			return true
		}
	}
	return agent == "" // every browser says who it is
}
