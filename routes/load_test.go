package routes

import (
	"testing"
)

func TestTenRoutes(t *testing.T) {
	config, problems := load(t, LoadOptions{File: "testdata/ten.good.yaml"}, true)
	if len(problems) > 0 {
		t.Fatalf("\n%s", problems.Error())
	}
	if len(config.Channels) != 11 {
		t.Errorf("%d channels", len(config.Channels))
	}
}
