package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/plexus-health/plexus/connectors/mllp"
	"github.com/plexus-health/plexus/internal/partner"
)

// A listening is what the listen command was asked for.
type listening struct {
	answer    string
	ratio     string
	seed      uint64
	late      time.Duration
	code      int
	filler    string
	count     int
	log       string
	dial      bool
	dials     int
	ca        string
	cert, key string
	show      bool
	json      bool
}

func listenCommand(a *app) *cobra.Command {
	l := &listening{}
	cmd := &cobra.Command{
		Use:   "listen ADDRESS",
		Short: "Take HL7 v2 messages over MLLP as a simulated partner system, and answer also wrongly",
		Long: `Take HL7 v2 messages over MLLP as a simulated partner system would, and answer
as it is told. For trying routes before the partner is there, and for tests.

What is answered is --answer, and for shares of the messages what --ratio says,
such as --ratio AE=0.1,never=0.05 (drawn with --seed). The words:

  accept         taken, in the mode the message asks for (MSH-15, MSH-16)
  AA AE AR       application acknowledgement: accepted, error, rejected
  CA CE CR       accept acknowledgement: the same
  late           AA after --late, while other answers come at once
  never          no answer, the connection stays open
  hang-up        no answer, the connection is closed
  half-close     no answer; it says nothing more, but reads on
  wrong-control  AA, with another control id in MSA-2
  garbage        bytes that are no frame
  half-frame     half of an AA, then the connection is closed
  huge           an AA of 100 MB

A line is printed for each message, without its content unless --show asks for
it. --log writes a ledger: one JSON line for each message, synced to the disk
before it is answered.

Exit code 0: ended by --count or a signal, 3: it could not listen or write the
ledger.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.listen(cmd.Context(), l, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&l.answer, "answer", "accept", "what is answered")
	f.StringVar(&l.ratio, "ratio", "", "shares that are answered otherwise: WORD=SHARE,...")
	f.Uint64Var(&l.seed, "seed", 1, "seed of the draws of --ratio")
	f.DurationVar(&l.late, "late", 0, "hold every answer back for so long; with the word late only those")
	f.IntVar(&l.code, "err", 0, "code of table 0357 in ERR of negative answers, such as 207; 0: no ERR")
	f.StringVar(&l.filler, "filler", "", "answer orders (ORM^O01, OML^O21) with filler numbers in ORC-3: this and nine digits made of the placer's number")
	f.IntVar(&l.count, "count", 0, "end after so many messages; 0: no end")
	f.StringVar(&l.log, "log", "", "file of the ledger; lines are added to it")
	f.BoolVar(&l.dial, "dial", false, "connect to ADDRESS in place of listening there, again and again")
	f.IntVar(&l.dials, "connections", 1, "number of connections, with --dial")
	f.StringVar(&l.cert, "tls-cert", "", "file of our certificate, PEM; encrypts the connections")
	f.StringVar(&l.key, "tls-key", "", "file of our certificate's key, PEM")
	f.StringVar(&l.ca, "tls-ca", "", "file of authorities that the other side's certificate must come from, PEM")
	f.BoolVar(&l.show, "show", false, "print the content of messages: only with made-up ones")
	f.BoolVar(&l.json, "json", false, "print JSON lines")
	return cmd
}

// options are the peer's, for an address.
func (l *listening) options(address string) (partner.Options, error) {
	o := partner.Options{Address: address, Seed: l.seed, Count: l.count, Log: l.log, Forget: true}
	local, err := mllp.Local(address)
	switch {
	case err != nil:
		return o, err
	case l.count < 0:
		return o, fmt.Errorf("--count %d is below 0", l.count)
	case l.dial && l.dials < 1:
		return o, fmt.Errorf("--connections %d is not at least 1", l.dials)
	case l.dial:
		o.Dial = l.dials
	}
	if o.TLS, err = l.encryption(address); err != nil {
		return o, fmt.Errorf("tls: %w", err)
	}
	if o.TLS == nil && !local {
		return o, fmt.Errorf("%q concerns other machines and messages would travel unencrypted: add --tls-cert and --tls-key", address)
	}
	mix, err := partner.ParseMix(l.ratio)
	if err != nil {
		return o, fmt.Errorf("--ratio: %w", err)
	}
	o.Behaviour = partner.Behaviour{Answer: partner.Word(l.answer), Mix: mix, Late: l.late, Code: l.code, Filler: l.filler}
	return o, o.Check()
}

// encryption is the TLS of the connections; nil: none.
func (l *listening) encryption(address string) (*tls.Config, error) {
	if l.ca == "" && l.cert == "" && l.key == "" {
		return nil, nil
	}
	config, err := mllp.ClientTLS(l.ca, l.cert, l.key)
	switch {
	case err != nil:
		return nil, err
	case l.dial:
		config.ServerName = address[:strings.LastIndexByte(address, ':')]
		config.ServerName = strings.Trim(config.ServerName, "[]")
		return config, nil
	case l.cert == "":
		return nil, errors.New("who listens needs a certificate: --tls-cert and --tls-key")
	}
	if config.RootCAs != nil {
		config.ClientCAs, config.ClientAuth = config.RootCAs, tls.RequireAndVerifyClientCert
	}
	return config, nil
}

func (a *app) listen(ctx context.Context, l *listening, address string) error {
	o, err := l.options(address)
	if err != nil {
		return &exit{code: exitUsage, err: err}
	}
	o.Took = func(arrival partner.Arrival, raw []byte) { a.arrived(l, arrival, raw) }
	p, err := partner.Start(o)
	if err != nil {
		return &exit{code: exitFailed, err: err}
	}
	if !l.json {
		word := "listening on"
		if l.dial {
			word = "connecting to"
		}
		fmt.Fprintln(a.stderr, word, p.Address())
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
	}
	if err := p.Close(); err != nil {
		return &exit{code: exitFailed, err: err}
	}
	return nil
}

// arrived prints one message.
func (a *app) arrived(l *listening, arrival partner.Arrival, raw []byte) {
	if l.json {
		line := struct {
			partner.Arrival

			Content string `json:"content,omitempty"`
		}{Arrival: arrival}
		if l.show {
			line.Content = string(raw)
		}
		out, err := json.Marshal(line)
		if err != nil {
			fmt.Fprintln(a.stderr, "engine:", err)
			return
		}
		fmt.Fprintf(a.stdout, "%s\n", out)
		return
	}
	fmt.Fprintf(a.stdout, "%d  %s  %s  %q  %d bytes  from %s\n", arrival.N, arrival.Answer, printable(arrival.Type), arrival.Control, arrival.Bytes, arrival.Peer)
	if l.show {
		for line := range strings.FieldsFuncSeq(string(raw), func(r rune) bool { return r == '\r' || r == '\n' }) {
			fmt.Fprintf(a.stdout, "    %s\n", printable(line))
		}
	}
}
