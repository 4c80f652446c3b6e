import { parseRoute, type Route } from "./route";

class Router {
  route: Route = $state.raw(parseRoute(location.hash));

  start(): () => void {
    const follow = (): void => {
      this.route = parseRoute(location.hash);
    };
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }

  go(href: string): void {
    location.hash = href.replace(/^#/, "");
  }
}

export const router = new Router();
