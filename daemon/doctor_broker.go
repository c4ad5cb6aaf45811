package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"sharpend/mqtt"
)

// probing bounds the conversation with the broker.
const probing = 90 * time.Second

// checkBroker asks the broker, or starts the embedded one as the daemon would.
func (d *doctor) checkBroker(ctx context.Context) {
	c := d.config.MQTT
	if c.Broker == mqtt.Embedded {
		b, err := mqtt.Listen(c.Listen, c.MaxPacket, slog.New(slog.DiscardHandler))
		if err != nil && !strings.Contains(err.Error(), "taken") {
			d.tell(finding{"broker", fail, err.Error(), "set mqtt.listen"})
			return
		}
		if err == nil {
			defer b.Close()
			c.Listen = b.Addr()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, probing)
	defer cancel()
	for _, f := range brokerFindings(d.config, mqtt.Probe(ctx, c, d.config.Name)) {
		d.tell(f)
	}
}

func brokerFindings(c *Config, found mqtt.Findings) []finding {
	b := finding{"broker", fine, fmt.Sprintf("%s answers in %.1f ms", found.Broker, milliseconds(found.Connect)), ""}
	if c.MQTT.Broker == mqtt.Embedded {
		b.Detail += ", embedded"
	}
	if c.MQTT.Username != "" {
		b.Detail += fmt.Sprintf(", and accepts user %q", c.MQTT.Username)
	}
	if found.Err != nil && found.RoundTrip == 0 {
		b.Status, b.Detail, b.Advice = fail, found.Err.Error(), "is it running, and reachable from here? mqtt.broker names it; to try without one: mqtt.broker: embedded"
		if found.Refused {
			b.Advice = "set mqtt.username and mqtt.password_file to an account that the broker knows"
		}
		return []finding{b}
	}
	list := []finding{b, topicsFinding(c, found)}
	if found.Lost == nil {
		list = append(list, packetFinding(c, found))
	}
	return list
}

func topicsFinding(c *Config, found mqtt.Findings) finding {
	scratch := "sharpend/" + c.Name + "/" + mqtt.Scratch
	f := finding{"topics", fine, fmt.Sprintf("a message on %s came back in %.1f ms", scratch, milliseconds(found.RoundTrip)), ""}
	var troubles []string
	if len(found.Denied) > 0 {
		f.Status = warn
	}
	if found.Lost != nil {
		f.Status = fail
		troubles = append(troubles, found.Lost.Error())
	}
	if len(found.Denied) > 0 {
		troubles = append(troubles, "the broker refuses to subscribe "+strings.Join(found.Denied, ", "))
	}
	if troubles != nil {
		f.Detail = strings.Join(troubles, "; ")
		f.Advice = fmt.Sprintf("let the account write and read sharpend/%s/# (mosquitto: topic readwrite sharpend/%s/#)", c.Name, c.Name)
	}
	return f
}

// smallestPacket is the least that mqtt.max_packet may be.
const smallestPacket = 1024

// packetFinding says what the broker's limit means for the configuration.
func packetFinding(c *Config, found mqtt.Findings) finding {
	f := finding{"packet_size", fine, fmt.Sprintf("the broker takes %d bytes, as much as mqtt.max_packet", found.Largest), ""}
	switch {
	case found.TooLarge > 0 && found.Largest < smallestPacket:
		f.Status = fail
		f.Detail = fmt.Sprintf("the broker takes no more than %d bytes; at %d it %v", found.Largest, found.TooLarge, found.Reaction)
		f.Advice = "no picture fits: raise the broker's limit (mosquitto: " + limitOf(found.Reaction) + ")"
	case found.TooLarge > 0:
		f.Status = warn
		f.Detail = fmt.Sprintf("the broker takes %d bytes; at %d it %v; mqtt.max_packet is %d", found.Largest, found.TooLarge, found.Reaction, c.MQTT.MaxPacket)
		f.Advice = fmt.Sprintf("set mqtt.max_packet: %d, so that larger pictures are counted as too_large and hurt nobody, or raise the broker's limit (mosquitto: %s)", found.Largest, limitOf(found.Reaction))
	case found.Err != nil:
		f.Status = warn
		f.Detail = fmt.Sprintf("the broker takes %d bytes; then the search ended: %v", found.Largest, found.Err)
		f.Advice = "try again; until then set mqtt.max_packet to what is known to pass"
	}
	return f
}

func limitOf(reaction error) string {
	if errors.Is(reaction, mqtt.ErrSwallows) {
		return "message_size_limit"
	}
	return "max_packet_size"
}
