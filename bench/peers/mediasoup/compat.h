// Since glibc 2.34 this is no constant, which mediasoup's copy of Abseil expects.
#include <signal.h>
#undef SIGSTKSZ
#define SIGSTKSZ 65536
