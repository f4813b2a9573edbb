package jetstream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// dial connects to the servers of other processes. The connection is made again
// for as long as the queue lives, also when none can be made now.
func (q *Queue) dial() (link, error) {
	o := q.options
	options := append(q.handlers(),
		nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(retryEach), nats.ReconnectJitter(retryEach/4, retryEach/2),
		nats.Timeout(answerWait), nats.PingInterval(5*time.Second), nats.MaxPingsOutstanding(2),
	)
	if o.Credentials != "" {
		options = append(options, nats.UserCredentials(o.Credentials))
	}
	if o.CA != "" {
		options = append(options, nats.RootCAs(o.CA))
	}
	if o.Certificate != "" || o.Key != "" {
		options = append(options, nats.ClientCert(o.Certificate, o.Key))
	}
	return q.connect(link{}, o.URL, options...)
}

// checkFiles sees that what proves who is who can be had.
func (o *Options) checkFiles() error {
	for _, file := range []string{o.Credentials, o.CA, o.Certificate, o.Key} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			return err
		}
	}
	if (o.Certificate == "") != (o.Key == "") {
		return errors.New("a certificate needs its key, and a key its certificate")
	}
	return nil
}

// handlers are the options of every connection: what is not sent at once is
// not sent, and the client's own log is ours.
func (q *Queue) handlers() []nats.Option {
	return []nats.Option{
		nats.Name(q.options.Name), nats.ReconnectBufSize(-1), nats.FlusherTimeout(answerWait),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			q.log.Debug("nats", "error", err.Error())
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				q.log.Debug("nats connection lost", "error", err.Error())
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				q.keptOut.Store(&err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { q.log.Debug("nats connection made again") }),
	}
}

// connect adds a connection to a link.
func (q *Queue) connect(l link, url string, options ...nats.Option) (link, error) {
	var err error
	if l.conn, err = nats.Connect(url, options...); err != nil {
		return l, err
	}
	l.js, err = jetstream.New(l.conn, jetstream.WithDefaultTimeout(answerWait),
		jetstream.WithPublishAsyncMaxPending(maxAsync), jetstream.WithPublishAsyncTimeout(answerWait),
		jetstream.WithPublishAsyncErrHandler(q.refused))
	if err != nil {
		l.conn.Close()
	}
	return l, err
}

// ready sees that stream and consumer are there and work, and returns the
// consumer that all engines of the group share.
func (q *Queue) ready(ctx context.Context) (jetstream.Consumer, error) {
	q.mu.Lock()
	l := q.link
	q.mu.Unlock()
	if l.conn == nil || l.conn.IsClosed() {
		if err := q.reopen(ctx, l); err != nil {
			return nil, err
		}
		q.mu.Lock()
		l = q.link
		q.mu.Unlock()
	}
	return q.prepare(ctx, l)
}

// reopen makes a link in place of one that has ended.
func (q *Queue) reopen(ctx context.Context, old link) error {
	old.close()
	if q.options.URL == "" {
		return q.openEmbedded(ctx)
	}
	l, err := q.dial()
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.link = l
	return nil
}

// prepare makes what is missing and tries whether a ticket can be stored.
func (q *Queue) prepare(ctx context.Context, l link) (jetstream.Consumer, error) {
	if !l.conn.IsConnected() {
		if why := q.keptOut.Load(); why != nil {
			return nil, fmt.Errorf("not connected: %w", *why)
		}
		if why := l.conn.LastError(); why != nil {
			return nil, fmt.Errorf("not connected: %w", why)
		}
		return nil, errors.New("not connected")
	}
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	stream, err := q.stream(ctx, l.js)
	if err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	consumer, err := q.consumer(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("consumer: %w", err)
	}
	if _, err := l.js.Publish(ctx, q.probeSubject(), nil, jetstream.WithRetryAttempts(0)); err != nil {
		return nil, fmt.Errorf("a ticket: %w", err)
	}
	return consumer, nil
}

// stream finds the stream or makes it. One that is there keeps its replicas and
// limits, which are the operator's, but must keep one ticket for each unit.
func (q *Queue) stream(ctx context.Context, js jetstream.JetStream) (jetstream.Stream, error) {
	stream, err := js.Stream(ctx, q.options.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name: q.options.Name, Subjects: []string{q.options.Name + ".work.*"},
			Description: "one ticket for each unit that has work",
			Retention:   jetstream.WorkQueuePolicy, Discard: jetstream.DiscardOld, MaxMsgsPerSubject: 1,
			Storage: jetstream.FileStorage, Replicas: q.options.Replicas, MaxBytes: 64 << 20,
		})
	}
	if err != nil {
		return nil, err
	}
	info := stream.CachedInfo()
	c := info.Config
	if c.Retention != jetstream.WorkQueuePolicy || c.MaxMsgsPerSubject != 1 || c.Discard != jetstream.DiscardOld {
		return nil, fmt.Errorf("%s is there and is not a work queue that keeps the last message of a subject: choose another name, or delete it", q.options.Name)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.born.Equal(info.Created) { // its numbers begin anew
		q.born = info.Created
		for _, u := range q.units {
			u.back = 0
		}
	}
	return stream, nil
}

// consumer finds the consumer or makes it. Inside this process it lives in
// memory: a new process is sent every ticket there is. In a shared server its
// state may be ahead of a stream that has lost its end; then it is made anew.
func (q *Queue) consumer(ctx context.Context, stream jetstream.Stream) (jetstream.Consumer, error) {
	const name = "engines"
	consumer, err := stream.Consumer(ctx, name)
	if err == nil {
		last, have := stream.CachedInfo().State.LastSeq, consumer.CachedInfo()
		if have.Delivered.Stream <= last && have.AckFloor.Stream <= last {
			return consumer, nil
		}
		if fresh, failed := stream.Info(ctx); failed != nil || have.Delivered.Stream <= fresh.State.LastSeq {
			return consumer, failed // tickets came between the two questions
		}
		q.log.Warn("the consumer of tickets is ahead of the stream and is made anew")
		err = stream.DeleteConsumer(ctx, name)
		if err == nil || errors.Is(err, jetstream.ErrConsumerNotFound) {
			err = jetstream.ErrConsumerNotFound
		}
	}
	if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, err
	}
	return stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: name, AckPolicy: jetstream.AckExplicitPolicy, AckWait: q.options.AckWait,
		DeliverPolicy: jetstream.DeliverAllPolicy, MaxAckPending: 2 * maxUnits, // a delayed ticket counts as well
		MemoryStorage: q.options.URL == "",
	})
}
