package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/plexus-health/plexus/access"
	"github.com/plexus-health/plexus/console"
)

// A journal is what the messages commands speak to: the running engine, or the
// data folder itself when no engine has it open.
type journal struct {
	app      *app
	settings settings
	json     bool
}

func messagesCommand(a *app) *cobra.Command {
	j := &journal{app: a}
	cmd := &cobra.Command{Use: "messages", Short: "List, show, trace, reprocess, release and drop journaled messages"}
	j.flags(cmd)
	cmd.AddCommand(j.listCommand(), j.showCommand(), j.traceCommand(),
		j.decideCommand("reprocess", "Hand a parked message in again"),
		j.decideCommand("release", "Let a message go on that a check holds, with a name and a reason"),
		j.decideCommand("drop", "Give up a stored or parked message, with a name and a reason"))
	return cmd
}

// flags say where the engine is, or its data.
func (j *journal) flags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&j.settings.HTTP, "http", "127.0.0.1:8080", "address of the running engine")
	f.StringVar(&j.settings.Data, "data", "./data", "folder of the embedded store, for when no engine runs")
	f.StringVar(&j.settings.Database, "database", "", "postgres://… in place of the embedded store, for when no engine runs")
	f.BoolVar(&j.json, "json", false, "print JSON")
}

func (j *journal) listCommand() *cobra.Command {
	var channel, state, control, typ string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List messages, the newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			for name, value := range map[string]string{"channel": channel, "state": state, "control": control, "type": typ} {
				if value != "" {
					q.Set(name, value)
				}
			}
			var rows []console.Message
			if err := j.ask(cmd.Context(), http.MethodGet, "/api/messages?"+q.Encode(), nil, &rows); err != nil {
				return err
			}
			if j.json {
				return j.print(rows)
			}
			w := tabwriter.NewWriter(j.app.stdout, 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tRECEIVED\tCHANNEL\tTYPE\tCONTROL\tSTATE\tREASON")
			for _, m := range rows {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, m.Received.Local().Format(time.DateTime), m.Channel, m.Type, printable(m.Control), m.State, m.Reason)
			}
			return w.Flush()
		},
	}
	f := cmd.Flags()
	f.StringVar(&channel, "channel", "", "only of this channel")
	f.StringVar(&state, "state", "", "only in this state: stored, done, filtered, parked, refused, dropped")
	f.StringVar(&control, "control", "", "only with this control id")
	f.StringVar(&typ, "type", "", "only of this type: ORU^R01")
	f.IntVar(&limit, "limit", 100, "at most so many")
	return cmd
}

func (j *journal) showCommand() *cobra.Command {
	var raw bool
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show one message; with --raw its bytes as received", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/api/messages/" + url.PathEscape(args[0])
			if raw {
				return j.ask(cmd.Context(), http.MethodGet, path+"/raw", nil, j.app.stdout)
			}
			var m console.Message
			if err := j.ask(cmd.Context(), http.MethodGet, path, nil, &m); err != nil {
				return err
			}
			if j.json {
				return j.print(m)
			}
			j.describe(m)
			return nil
		},
	}
	cmd.Flags().BoolVar(&raw, "raw", false, "write the bytes as received to the output")
	return cmd
}

func (j *journal) describe(m console.Message) {
	w := tabwriter.NewWriter(j.app.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "message\t%s\nchannel\t%s\nstate\t%s\n", m.ID, m.Channel, m.State)
	if m.Reason != "" {
		fmt.Fprintf(w, "reason\t%s\n", m.Reason)
	}
	fmt.Fprintf(w, "type\t%s\ncontrol\t%s\nsender\t%s\npeer\t%s\nreceived\t%s\nsize\t%d bytes\nrun\t%d\noutcome\t%s\nroutes\t%s\n",
		m.Type, printable(m.Control), printable(m.Sender), m.Peer, m.Received.Local().Format(time.RFC3339Nano), m.Size, m.Run, orNothing(string(m.Answer.Code)), m.RoutesVersion)
	if !m.Pruned.IsZero() {
		fmt.Fprintf(w, "content\tno longer kept since %s\n", m.Pruned.Local().Format(time.RFC3339))
	}
	_ = w.Flush() // to our own output
}

func orNothing(s string) string {
	if s == "" {
		return "nothing yet"
	}
	return s
}

func (j *journal) traceCommand() *cobra.Command {
	return &cobra.Command{
		Use: "trace ID", Short: "Show what happened to a message, step by step", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var t console.Trace
			if err := j.ask(cmd.Context(), http.MethodGet, "/api/messages/"+url.PathEscape(args[0])+"/trace", nil, &t); err != nil {
				return err
			}
			if j.json {
				return j.print(t)
			}
			j.describe(t.Message)
			fmt.Fprintln(j.app.stdout)
			w := tabwriter.NewWriter(j.app.stdout, 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "AT\tRUN\tSTEP\tWHAT")
			for _, e := range t.Events {
				what := e.Ref
				if e.Text != "" {
					if what != "" {
						what += "  "
					}
					what += e.Text
				}
				if e.Who != "" {
					what += "  (" + e.Who + ")"
				}
				fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", e.At.Local().Format("15:04:05.000000"), e.Run, e.Step, printable(what))
			}
			if err := w.Flush(); err != nil || len(t.Deliveries) == 0 {
				return err
			}
			fmt.Fprintln(j.app.stdout)
			return j.listDeliveries(t.Deliveries, true)
		},
	}
}

func (j *journal) decideCommand(action, short string) *cobra.Command {
	var d console.Decision
	cmd := &cobra.Command{
		Use: action + " ID...", Short: short, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, id := range args {
				var m console.Message
				if err := j.decide(cmd, "/api/messages/"+url.PathEscape(id)+"/"+action, d, &m); err != nil {
					return err
				}
				if j.json {
					if err := j.print(m); err != nil {
						return err
					}
					continue
				}
				fmt.Fprintf(j.app.stdout, "%s  %s  %s\n", m.ID, m.State, m.Channel)
			}
			return nil
		},
	}
	decisionFlags(cmd, &d)
	if action == "reprocess" || action == "release" {
		cmd.Flags().BoolVar(&d.Late, "late", false, "go on although younger deliveries of its key have arrived")
	}
	return cmd
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// ask sends a request to the engine, or serves it from the data folder when no
// engine answers. into is a value for JSON, or a writer for bytes.
func (j *journal) ask(ctx context.Context, method, path string, body []byte, into any) error {
	r, err := j.request(ctx, method, path, body)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(r)
	if errors.Is(err, syscall.ECONNREFUSED) {
		r.Body = io.NopCloser(bytes.NewReader(body))
		response, err = j.offline(ctx, r)
	}
	if err != nil {
		return &exit{code: exitFailed, err: err}
	}
	defer func() { _ = response.Body.Close() }() // read to its end or given up
	return answered(response, into)
}

// online asks the running engine and nobody else.
func (j *journal) online(ctx context.Context, method, path string, into any) error {
	r, err := j.request(ctx, method, path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return &exit{code: exitFailed, err: fmt.Errorf("no engine answers at %s: %w", j.settings.HTTP, err)}
	}
	defer func() { _ = response.Body.Close() }() // read to its end or given up
	return answered(response, into)
}

func (j *journal) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+j.settings.HTTP+path, bytes.NewReader(body))
	if err != nil {
		return nil, &exit{code: exitUsage, err: err}
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, nil
}

// answered reads an answer.
func answered(response *http.Response, into any) error {
	if response.StatusCode != http.StatusOK {
		var fault struct{ Error string }
		if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&fault); err != nil || fault.Error == "" {
			fault.Error = response.Status
		}
		return &exit{code: exitSome, err: errors.New(fault.Error)}
	}
	var err error
	if w, ok := into.(io.Writer); ok {
		_, err = io.Copy(w, response.Body)
	} else {
		err = json.NewDecoder(response.Body).Decode(into)
	}
	if err != nil {
		return &exit{code: exitFailed, err: fmt.Errorf("answer of the engine: %w", err)}
	}
	return nil
}

// offline serves one request from the store itself.
func (j *journal) offline(ctx context.Context, r *http.Request) (*http.Response, error) {
	if j.settings.Database == "" {
		if _, err := os.Stat(j.settings.Data); err != nil {
			return nil, fmt.Errorf("no engine answers at %s and there is no data folder %s", j.settings.HTTP, j.settings.Data)
		}
	}
	opened, err := j.settings.open(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, fmt.Errorf("no engine answers at %s, and the store cannot be opened: %w", j.settings.HTTP, err)
	}
	handler := console.New(console.Options{Store: opened, Engine: absent{}, Access: access.Loopback{}, Log: slog.New(slog.DiscardHandler)})
	w := httptest.NewRecorder()
	r.RemoteAddr = net.JoinHostPort("127.0.0.1", "0")
	handler.ServeHTTP(w, r)
	if err := opened.Close(); err != nil {
		return nil, fmt.Errorf("close: %w", err)
	}
	return w.Result(), nil
}

// absent stands for the engine when none runs: what is changed in the store is
// found at its next start.
type absent struct{}

func (absent) Ready() error  { return errors.New("no engine runs") }
func (absent) Channels() any { return []string{} }

// Names lists no channels: the configuration is not read.
func (absent) Names() []string { return nil }

// Routes says that no engine runs.
func (absent) Routes() ([]console.Route, bool) { return nil, false }

// Poke is heard by nobody.
func (absent) Poke(string) {}

func (j *journal) print(v any) error {
	encoder := json.NewEncoder(j.app.stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// printable keeps control characters of a message off the terminal.
func printable(s string) string {
	out := []rune(s)
	for i, r := range out {
		if r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			out[i] = '·'
		}
	}
	return string(out)
}
