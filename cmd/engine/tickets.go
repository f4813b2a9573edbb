package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/plexus-health/plexus/queue"
	"github.com/plexus-health/plexus/queue/jetstream"
	"github.com/plexus-health/plexus/queue/memory"
)

// queueSettings say which queue holds the tickets.
type queueSettings struct {
	Kind        string
	URL         string
	Name        string
	Replicas    int
	Credentials string
	CA          string
	Certificate string
	Key         string
}

func queueFlags(f *pflag.FlagSet) {
	f.String("queue", "jetstream", "jetstream, or memory: forgotten when the process ends")
	f.String("nats", "", "nats://… of servers with JetStream that several engines share, in place of the one inside the engine")
	f.String("nats-name", "plexus", "name of the engines that share one database, and of their stream")
	f.Int("nats-replicas", 1, "replicas of the stream, where this engine makes it")
	f.String("nats-credentials", "", "file of a NATS user's JWT and key")
	f.String("nats-ca", "", "file of the certificates NATS servers are checked against, in place of the system's")
	f.String("nats-cert", "", "file of the certificate that shows NATS who this engine is")
	f.String("nats-key", "", "file of the key of --nats-cert")
}

func readQueueSettings(v *viper.Viper) queueSettings {
	return queueSettings{
		Kind: v.GetString("queue"), URL: v.GetString("nats"), Name: v.GetString("nats-name"), Replicas: v.GetInt("nats-replicas"),
		Credentials: v.GetString("nats-credentials"), CA: v.GetString("nats-ca"),
		Certificate: v.GetString("nats-cert"), Key: v.GetString("nats-key"),
	}
}

// openQueue opens the queue these settings name, and returns what closes it.
func (s settings) openQueue(ctx context.Context, log *slog.Logger) (queue.Queue, func() error, error) {
	set := s.Queue
	switch set.Kind {
	case "memory":
		if set.URL != "" {
			return nil, nil, fmt.Errorf("--nats is given and --queue is memory: leave one of them out")
		}
		return &memory.Queue{}, func() error { return nil }, nil
	case "jetstream":
		if set.URL != "" && s.Database == "" {
			log.Warn("--nats without --database: no other engine can share the work of an embedded store")
		}
		q, err := jetstream.Open(ctx, jetstream.Options{
			Folder: filepath.Join(s.Data, "jetstream"), URL: set.URL, Name: set.Name, Replicas: set.Replicas,
			Credentials: set.Credentials, CA: set.CA, Certificate: set.Certificate, Key: set.Key, Log: log,
		})
		if err != nil {
			return nil, nil, err
		}
		return q, q.Close, nil
	}
	return nil, nil, fmt.Errorf("--queue %q is not known; known: jetstream, memory", set.Kind)
}
