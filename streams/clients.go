package streams

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"leadstream/streams/failpoint"
)

// RedisOptions says which Redis, and how patiently. Only URL is needed:
//
//	redis://user:password@host:6379/0      rediss:// for TLS
//	unix:///run/redis/redis.sock?db=0
//	redis+sentinel://user:password@host1:26379,host2:26379/mymaster/0?sentinel_username=…&sentinel_password=…
//	redis+cluster://user:password@host1:6379,host2:6379
//
// rediss+sentinel:// and rediss+cluster:// are the same with TLS.
type RedisOptions struct {
	URL     string
	Readers int           // blocking reads at the same time; 0 is 8
	Timeout time.Duration // of a connect, a write, and the read of an answer; 0 is 5 s
	TLS     *tls.Config   // for the schemes with TLS; nil trusts the system's authorities

	// Dial connects in place of the system, in a simulation; nil otherwise.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Clients are the two clients of one Redis. Neither ever sends a command a second time by itself: whether that is safe
// is known only to its caller. Both heed the deadline of a context, but not its cancelling.
type Clients struct {
	Write redis.UniversalClient // everything that does not block
	Read  redis.UniversalClient // XREADGROUP with a Block of 1 s at most, so that a stop is heard; never shared with Write

	servers *servers // that either has met; nil: not watched
}

// OpenRedis makes the clients. It does no I/O; its errors name the cure and never show the URL, which may hold a password.
func OpenRedis(o RedisOptions) (*Clients, error) {
	u, err := parseRedisURL(o.URL)
	if err != nil {
		return nil, err
	}
	if u.TLSConfig != nil && o.TLS != nil {
		u.TLSConfig = o.TLS
	}
	u.Dialer = o.Dial
	timeout := o.Timeout
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	readers := o.Readers
	if readers == 0 {
		readers = 8
	}

	u.DialTimeout, u.ReadTimeout, u.WriteTimeout, u.PoolTimeout = timeout, timeout, timeout, timeout
	u.ContextTimeoutEnabled = true
	u.DialerRetries = 1 // whoever calls retries, with a back-off of his own
	u.MaxRetries = -1   // the default, 3, executes an XADD twice when its answer is lost
	// A cluster client resends after a broken answer whatever MaxRetries says; without redirects it does not, and a MOVED
	// is an error like others, after which it knows the right node.
	u.MaxRedirects = -1
	if failpoint.Seeded(failpoint.ResendBlindly) {
		u.MaxRetries = 3
	}
	u.DisableIdentity = true // CLIENT SETINFO is unknown to 7.0
	u.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}

	var met *servers
	if !u.IsClusterMode {
		met = &servers{changed: make(chan struct{})}
		u.OnConnect = met.meet
	}

	read := *u
	read.PoolSize = readers + 2
	read.ReadTimeout += blockAtMost // a pipeline with a blocking read in it knows no other
	read.PipelinePoolSize = -1
	return &Clients{Write: openClient(u), Read: openClient(&read), servers: met}, nil
}

// Close closes both clients; blocking reads must have ended.
func (c *Clients) Close() error { return errors.Join(c.Write.Close(), c.Read.Close()) }

func openClient(o *redis.UniversalOptions) redis.UniversalClient {
	c := redis.NewUniversalClient(o)
	if cluster, ok := c.(*redis.ClusterClient); ok {
		cluster.OnNewNode(func(node *redis.Client) { node.AddHook(&readonlyHook{}) })
	} else {
		c.AddHook(&readonlyHook{})
	}
	return c
}

const redisURLForms = "use redis://user:password@host:6379/0, rediss://…, unix:///path/to/redis.sock, " +
	"redis+sentinel://host1:26379,host2:26379/mymaster or redis+cluster://host1:6379,host2:6379"

// parseRedisURL is our own because the library's accepts options that would break our promises (max_retries,
// skip_verify), cannot read a list of hosts, and shows the URL in its errors.
func parseRedisURL(raw string) (*redis.UniversalOptions, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return nil, errors.New("redis URL: no scheme: " + redisURLForms)
	}
	user, hosts, tail := splitAuthority(rest)
	// Only what net/url cannot read, the list of hosts, is kept from it.
	u, err := url.Parse("redis://" + user + "host" + tail)
	if err != nil {
		return nil, errors.New("redis URL: unreadable: write the characters / ? # % @ of a password as %2F %3F %23 %25 %40")
	}
	o := &redis.UniversalOptions{}
	o.Username = u.User.Username()
	o.Password, _ = u.User.Password()

	path := strings.Trim(u.Path, "/")
	allowed, port := []string{"db"}, "6379"
	base, isTLS := strings.CutPrefix(scheme, "rediss")
	if isTLS {
		base = "redis" + base
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	switch base {
	case "unix":
		if hosts != "" || path == "" {
			return nil, errors.New("redis URL: a socket needs an absolute path: unix:///path/to/redis.sock")
		}
		o.Addrs = []string{u.Path}
		path = ""
	case "redis":
		if strings.Contains(hosts, ",") {
			return nil, errors.New("redis URL: several hosts: say redis+sentinel:// or redis+cluster://")
		}
	case "redis+sentinel":
		o.MasterName, path, _ = strings.Cut(path, "/")
		if o.MasterName == "" {
			return nil, errors.New("redis URL: no master name: redis+sentinel://host1:26379,host2:26379/mymaster")
		}
		o.SentinelUsername, o.SentinelPassword = u.Query().Get("sentinel_username"), u.Query().Get("sentinel_password")
		allowed, port = append(allowed, "sentinel_username", "sentinel_password"), "26379"
	case "redis+cluster":
		o.IsClusterMode = true
		allowed = nil
		if path != "" && path != "0" {
			return nil, errors.New("redis URL: a cluster has only database 0: leave the path out")
		}
		path = ""
	default:
		return nil, errors.New("redis URL: unknown scheme: " + redisURLForms)
	}

	for key := range u.Query() {
		if !slices.Contains(allowed, key) {
			return nil, fmt.Errorf("redis URL: unknown option %q: leave it out", key)
		}
	}
	if base != "unix" {
		if o.Addrs, err = redisHosts(hosts, port); err != nil {
			return nil, err
		}
	}
	if o.DB, err = redisDB(path, u.Query().Get("db")); err != nil {
		return nil, err
	}
	return o, nil
}

// splitAuthority cuts what follows the scheme into "user:password@", hosts and the rest.
func splitAuthority(s string) (user, hosts, tail string) {
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		s, tail = s[:i], s[i:]
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		user, s = s[:i+1], s[i+1:]
	}
	return user, s, tail
}

func redisDB(path, query string) (int, error) {
	text := path
	if text == "" {
		text = query
	}
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || (path != "" && query != "") {
		return 0, errors.New("redis URL: the database is one number, as the path or as ?db=, 0 if left out")
	}
	return n, nil
}

func redisHosts(list, port string) ([]string, error) {
	var addrs []string
	for host := range strings.SplitSeq(list, ",") {
		h, p, err := net.SplitHostPort(host)
		if err != nil {
			h, p = strings.Trim(host, "[]"), port
		}
		n, err := strconv.ParseUint(p, 10, 16)
		if h == "" || err != nil || n == 0 || strings.ContainsAny(h, "@ ") {
			// The text is not shown: an unescaped password may have ended up here.
			return nil, errors.New("redis URL: unreadable host: write host:port, and / ? # % @ of a password as %2F %3F %23 %25 %40")
		}
		addrs = append(addrs, net.JoinHostPort(h, p))
	}
	return addrs, nil
}
