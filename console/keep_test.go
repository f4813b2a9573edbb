package console

import (
	"net/http"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/store"
)

// What is not kept any longer is said to be so, since when, and takes no orders.
func TestWhatIsNotKept(t *testing.T) {
	d := newDesk(t)
	sent, open := d.queue("k"), d.queue("k")
	d.send(sent)
	keeper, err := d.TakeOver(t.Context(), store.UnitKeep, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keeper.Prune(t.Context(), []int64{sent.Message, open.Message}); err != nil {
		t.Fatal(err)
	}
	idOf := func(seq int64) string {
		m, err := d.Load(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		return m.ID
	}
	gone, kept := idOf(sent.Message), idOf(open.Message)
	decision := `{"who": "ann", "why": "w"}`
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"its bytes":            {http.MethodGet, "/api/messages/" + gone + "/raw", "", http.StatusGone, "no longer kept since 2"},
		"what was sent":        {http.MethodGet, "/api/deliveries/" + sent.ID + "/payload", "", http.StatusGone, "no longer kept since 2"},
		"what was answered":    {http.MethodGet, "/api/deliveries/" + sent.ID + "/answer", "", http.StatusGone, "no longer kept since 2"},
		"reprocess":            {http.MethodPost, "/api/messages/" + gone + "/reprocess", decision, http.StatusGone, "no longer kept since 2"},
		"drop":                 {http.MethodPost, "/api/messages/" + gone + "/drop", decision, http.StatusConflict, "not kept any more"},
		"itself":               {http.MethodGet, "/api/messages/" + gone, "", http.StatusOK, `"pruned"`},
		"its trace":            {http.MethodGet, "/api/messages/" + gone + "/trace", "", http.StatusOK, "not kept any longer"},
		"the bytes of another": {http.MethodGet, "/api/messages/" + kept + "/raw", "", http.StatusOK, "content 2"},
		"what waits":           {http.MethodGet, "/api/deliveries/" + open.ID + "/payload", "", http.StatusOK, canary},
		"no answer yet":        {http.MethodGet, "/api/deliveries/" + open.ID + "/answer", "", http.StatusNotFound, "nothing yet"},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := d.do(c.method, c.path, c.body)
			if status != c.status || !strings.Contains(text, c.says) {
				t.Errorf("%d %s, want %d with %q", status, text, c.status, c.says)
			}
			if c.status != http.StatusOK && strings.Contains(text, canary) {
				t.Error("it quotes the payload")
			}
		})
	}
	if _, text := d.do(http.MethodGet, "/api/messages/"+kept, ""); strings.Contains(text, `"pruned"`) {
		t.Errorf("what is kept says %s", text)
	}
}
