package main

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// Of one track.
const datagramBytes = 1500

type sfuStarted struct {
	Pid     int    `json:"pid"`
	Version string `json:"version"`
}

type described struct {
	Sdp string `json:"sdp"`
}

// newAPI has everything that pion has without being asked, on loopback only.
func newAPI(settings webrtc.SettingEngine) *webrtc.API {
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetIPFilter(net.IP.IsLoopback)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	return webrtc.NewAPI(webrtc.WithSettingEngine(settings))
}

// answerOffer lets somebody in: who offers to send is heard by everybody who is there to receive.
func answerOffer(api *webrtc.API, track *webrtc.TrackLocalStaticRTP, offer string) (string, error) {
	connection, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", err
	}
	connection.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { forwardTrack(remote, track) })
	description := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}
	if err := connection.SetRemoteDescription(description); err != nil {
		return "", err
	}
	for _, transceiver := range connection.GetTransceivers() {
		if transceiver.Direction() != webrtc.RTPTransceiverDirectionRecvonly {
			sender, err := connection.AddTrack(track)
			if err != nil {
				return "", err
			}
			go readReports(sender)
		}
	}
	own, err := connection.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(connection)
	if err := connection.SetLocalDescription(own); err != nil {
		return "", err
	}
	<-gathered
	return connection.LocalDescription().SDP, nil
}

func forwardTrack(remote *webrtc.TrackRemote, track *webrtc.TrackLocalStaticRTP) {
	packet := make([]byte, datagramBytes)
	for {
		length, _, err := remote.Read(packet)
		if err != nil {
			return
		}
		// Nobody may be there to hear it.
		if _, err := track.Write(packet[:length]); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			return
		}
	}
}

// readReports hands what a receiver reports to the interceptors, which answer it.
func readReports(sender *webrtc.RTPSender) {
	packet := make([]byte, datagramBytes)
	for {
		if _, _, err := sender.Read(packet); err != nil {
			return
		}
	}
}

// sfu forwards one speaker to all others until nobody asks any more: an offer in a line, its answer in a line.
func sfu() error {
	// A port for each member, as pion does by itself: one for all of them cost it as much, or more.
	api := newAPI(webrtc.SettingEngine{})
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	track, err := webrtc.NewTrackLocalStaticRTP(opus, "audio", "pion")
	if err != nil {
		return err
	}
	if err := answer(sfuStarted{Pid: os.Getpid(), Version: version("github.com/pion/webrtc/v4")}); err != nil {
		return err
	}
	orders := json.NewDecoder(os.Stdin)
	for {
		var offer described
		if err := orders.Decode(&offer); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		sdp, err := answerOffer(api, track, offer.Sdp)
		if err != nil {
			return err
		}
		if err := answer(described{Sdp: sdp}); err != nil {
			return err
		}
	}
}
