package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
)

// activated are the listeners that systemd holds for us, by FileDescriptorName: it keeps them open over a restart, so
// that no connection is refused meanwhile.
func activated() (map[string]net.Listener, error) {
	byName, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("socket activation: %w", err)
	}
	one := map[string]net.Listener{}
	for name, all := range byName {
		if len(all) != 1 || all[0] == nil {
			return nil, fmt.Errorf("socket activation: %s: want one stream socket, got %d", name, len(all))
		}
		one[name] = all[0]
	}
	return one, nil
}

// listen opens address, "host:port" or "unix:/path", unless systemd holds a socket of that name.
func listen(held map[string]net.Listener, name, address string) (net.Listener, error) {
	if l, ok := held[name]; ok {
		return l, nil
	}
	path, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return l, nil
	}
	return listenUnix(name, path)
}

// listenUnix replaces a socket that a killed daemon left behind, and leaves one that somebody answers at.
func listenUnix(name, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("%s: another daemon listens at %s", name, path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return l, nil
}

// tellSystemd says that the daemon is ready, and from then on, while healthy answers nil, that it is alive: systemd
// restarts one that falls silent. It returns when ctx ends. Without systemd it only waits.
func tellSystemd(ctx context.Context, healthy func(context.Context) error, log zerolog.Logger) error {
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	defer func() { _, _ = daemon.SdNotify(false, daemon.SdNotifyStopping) }()
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("watchdog: %w", err)
	}
	if every == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(every / 3) // two may be late
	defer tick.Stop()
	for {
		if err := healthy(ctx); err != nil && ctx.Err() == nil {
			log.Error().Err(err).Msg("not healthy: the watchdog is not fed")
		} else if _, err := daemon.SdNotify(false, daemon.SdNotifyWatchdog); err != nil {
			return fmt.Errorf("watchdog: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
