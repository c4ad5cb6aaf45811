package mqtt

import (
	"strings"
	"testing"
	"time"

	"sharpend/mqtt/mosquittotest"
)

func TestParseRequest(t *testing.T) {
	tests := []struct {
		payload string
		want    Request
		err     string
	}{
		{"", Request{Steps: -1}, ""},
		{" \n", Request{Steps: -1}, ""},
		{"{}", Request{Steps: -1}, ""},
		{`{"steps":0}`, Request{Steps: 0}, ""},
		{`{"steps":8,"samples":4,"transaction":"a b"}`, Request{8, 4, "a b"}, ""},
		{` {"transaction":""} `, Request{Steps: -1}, ""},
		{`{"steps":-1}`, Request{}, "steps must be a whole number from 0 to 1000"},
		{`{"steps":1001}`, Request{}, "steps must be"},
		{`{"steps":1.5}`, Request{}, "steps must be"},
		{`{"steps":"8"}`, Request{}, "steps must be"},
		{`{"steps":null}`, Request{}, "steps must be"},
		{`{"steps":99999999999999999999}`, Request{}, "steps must be"},
		{`{"samples":0}`, Request{}, "samples must be a whole number from 1 to 256"},
		{`{"transaction":5}`, Request{}, "transaction must be a string"},
		{`{"transaction":null}`, Request{}, "transaction must be a string"},
		{`{"transaction":"` + strings.Repeat("x", 129) + `"}`, Request{}, "transaction must be a string"},
		{`{"step":5}`, Request{}, `unknown key "step" (known: steps, samples, transaction)`},
		{`{"Steps":5}`, Request{}, `unknown key "Steps"`},
		{`{"steps":5,"steps":6}`, Request{}, `key "steps" stands twice`},
		{`{"steps":5}x`, Request{}, "something stands after"},
		{`{"steps":5}{}`, Request{}, "something stands after"},
		{`{"steps":5`, Request{}, "request:"},
		{`{"steps"`, Request{}, "steps must be"},
		{`{steps:5}`, Request{}, "request:"},
		{`[5]`, Request{}, "neither empty nor a JSON object"},
		{`5`, Request{}, "neither empty nor"},
		{`PRESS`, Request{}, "neither empty nor"},
		{strings.Repeat(" ", 4097), Request{}, "request of 4097 bytes"},
	}
	for _, test := range tests {
		got, err := ParseRequest([]byte(test.payload))
		switch {
		case test.err == "" && (err != nil || got != test.want):
			t.Errorf("%s: %+v, %v, want %+v", test.payload, got, err, test.want)
		case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
			t.Errorf("%s: error %v, want %q", test.payload, err, test.err)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{"", "{}", `{"steps":8,"samples":4,"transaction":"a"}`, `{"steps":null}`, `{"a":[{"b":1}]}`, "PRESS", "{\"steps\":8}\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := ParseRequest(payload)
		if err != nil {
			return
		}
		if r.Steps < -1 || r.Steps > MaxSteps || r.Samples < 0 || r.Samples > MaxSamples || len(r.Transaction) > maxTransaction {
			t.Errorf("%q gives %+v", payload, r)
		}
	})
}

func TestRequests(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		const topic = "sharpend/cam/keyframe/request"
		send(t, addr, topic, `{"steps":1}`, true) // retained: must not reach us
		awaitRetained(t, addr, topic)
		c, text := client(t, addr)
		requests := make(chan Request, 10)
		c.OnRequest = func(r Request) { requests <- r }
		c.Connect()
		eventually(t, "online", c.Online)
		const bad = 10
		for range bad / 2 {
			send(t, addr, topic, `{"steps":"many"}`, false)
			send(t, addr, topic, `{"steps":-3}`, false)
		}
		send(t, addr, topic, `{"steps":2,"transaction":"x"}`, false)
		select {
		case r := <-requests:
			if want := (Request{2, 0, "x"}); r != want {
				t.Errorf("got %+v, want %+v", r, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("no request arrived")
		}
		eventually(t, "complaint", func() bool { return text.count("bad message ignored") > 0 })
		time.Sleep(50 * time.Millisecond)
		if len(requests) > 0 {
			t.Errorf("one more request: %+v", <-requests)
		}
		if n := text.count("bad message ignored"); n > bad/2 { // one a second, and a busy machine may take a few
			t.Errorf("%d bad messages give %d log lines, want one a second:\n%s", bad, n, text)
		}
	})
}

// A message beyond max_packet is not read into memory; it costs the connection, and the log says why.
func TestHugeRequest(t *testing.T) {
	b := mosquittotest.Start(t)
	c, _ := client(t, b.Addr, func(c *Config) { c.MaxPacket = 10_000 })
	c.OnRequest = func(Request) {}
	c.Connect()
	eventually(t, "online", c.Online)
	send(t, b.Addr, "sharpend/cam/keyframe/request", strings.Repeat("x", 20_000), false)
	eventually(t, "refused", func() bool { return c.Snapshot().Disconnects == 1 })
	if text := c.Snapshot().LastError; !strings.Contains(text, "a packet of more than 10000 bytes (mqtt.max_packet)") {
		t.Errorf("last error %q", text)
	}
	eventually(t, "online again", c.Online)
}

func FuzzFraming(f *testing.F) {
	f.Add([]byte{0x20, 2, 0, 0, 0xd0, 0, 0x30, 0x80, 1}, 3)
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f}, 1)
	f.Add([]byte{0x30, 0x80, 0x80, 0x80, 0x80, 0x80}, 2)
	f.Fuzz(func(t *testing.T, stream []byte, step int) {
		var whole, parts framing
		step = max(1, step%7)
		err := whole.check(stream, 1000)
		var partly error
		for rest := stream; len(rest) > 0 && partly == nil; {
			n := min(step, len(rest))
			partly = parts.check(rest[:n], 1000)
			rest = rest[n:]
		}
		if (err == nil) != (partly == nil) || err == nil && whole != parts {
			t.Errorf("at once %+v, %v; in parts %+v, %v", whole, err, parts, partly)
		}
		if whole.left > 1000 || whole.left < 0 {
			t.Errorf("%+v", whole)
		}
	})
}

func TestFraming(t *testing.T) {
	body := make([]byte, 200)
	stream := append([]byte{0x30, 0xc8, 0x01}, body...) // 200 bytes
	stream = append(stream, 0xd0, 0)
	var f framing
	if err := f.check(stream, 200); err != nil || f.inside || f.left != 0 {
		t.Errorf("%v, %+v", err, f)
	}
	if err := new(framing).check(stream, 199); err == nil {
		t.Error("a body of 200 bytes passes a limit of 199")
	}
}
